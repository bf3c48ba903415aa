// The model that a notebook would give, for a page without one: values, and who listens to them.
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
