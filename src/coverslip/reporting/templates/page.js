// The page is whole without this. It opens folds that hold what a link points at, shows one kind of mistake at a time,
// shows a wide figure of maps in its full size, and opens every fold for printing.
(() => {
  const items = [...document.querySelectorAll("li[data-pair]")];
  const bar = document.querySelector(".filter");
  let from = null; // the cell that was followed: focus goes back to it
  const show = (pair) => {
    const some = items.filter((item) => item.dataset.pair === pair);
    items.forEach((item) => { item.hidden = some.length > 0 && item.dataset.pair !== pair; });
    document.querySelectorAll(".gallery").forEach((list) => list.classList.toggle("filtered", some.length > 0));
    if (!bar) return;
    bar.hidden = some.length === 0;
    if (some.length) bar.firstElementChild.textContent = some.length === 1 ? "1 mistake of this kind" : `${some.length} mistakes of this kind`;
  };
  const follow = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    if (!target.dataset.pair || !bar) return;
    from = document.activeElement;
    show(target.dataset.pair);
    bar.scrollIntoView({ block: "start" });
    bar.querySelector("button").focus({ preventScroll: true });
  };
  addEventListener("hashchange", follow);
  follow();
  bar?.querySelector("button").addEventListener("click", () => {
    history.replaceState(null, "", "#mistakes");
    show("");
    document.getElementById("confusion")?.scrollIntoView();
    from?.focus({ preventScroll: true });
  });
  document.querySelectorAll(".plate.map").forEach((plate) => {
    const [figure, button] = [plate.querySelector("img"), document.createElement("button")];
    const fit = () => {
      const full = plate.classList.contains("full");
      button.textContent = full ? "Fit to the page" : "Full size";
      button.hidden = !full && figure.clientWidth >= parseFloat(figure.style.width);
    };
    button.type = "button";
    button.addEventListener("click", () => { plate.classList.toggle("full"); fit(); });
    plate.after(button);
    addEventListener("resize", fit);
    fit();
  });
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((fold) => { fold.open = true; }));
})();
