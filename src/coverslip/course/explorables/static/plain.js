// Replacement for a notebook's widget model on a page without a notebook: values and their listeners.
export function plainModel(values) {
  const now = structuredClone(values);
  const listeners = {};
  return {
    get: (name) => now[name],
    set(name, value) {
      const same = JSON.stringify(now[name]) === JSON.stringify(value);
      now[name] = value;
      if (!same) for (const listener of [...(listeners[`change:${name}`] ?? [])]) listener();
    },
    save_changes() {},
    on: (event, listener) => (listeners[event] ??= []).push(listener),
    off: (event, listener) => (listeners[event] = (listeners[event] ?? []).filter((each) => each !== listener)),
  };
}
