// Optional: the page is complete without this script. It opens folded content that a link points to, filters
// misclassified images by a cell of the confusion matrix, shows wide figures of maps in full size, and opens all folds
// for printing.
(() => {
  const items = [...document.querySelectorAll("li[data-pair]")];
  const bar = document.querySelector(".filter");
  let source = null; // the cell that was clicked; it gets the focus back
  const show = (pair) => {
    const members = items.filter((item) => item.dataset.pair === pair);
    items.forEach((item) => { item.hidden = members.length > 0 && item.dataset.pair !== pair; });
    document.querySelectorAll(".gallery").forEach((list) => list.classList.toggle("filtered", members.length > 0));
    if (!bar) return;
    bar.hidden = members.length === 0;
    if (members.length) bar.firstElementChild.textContent = members.length === 1 ? "1 mistake of this kind" : `${members.length} mistakes of this kind`;
  };
  const follow = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    if (!target.dataset.pair || !bar) return;
    source = document.activeElement;
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
    source?.focus({ preventScroll: true });
  });
  document.querySelectorAll(".plate.map").forEach((plate) => {
    const [figure, button] = [plate.querySelector("img"), document.createElement("button")];
    const fit = () => {
      const full = plate.classList.contains("full");
      button.textContent = full ? "Fit to page" : "Full size";
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
