// SPDX-License-Identifier: Apache-2.0
// Tooltips for everything with data-tip, and the light/dark button. Inlined by report.py; the page
// says the same without it (each mark has a <title>).
"use strict";
(() => {
  const tip = document.getElementById("tip");
  // The browser's own tooltip would come on top of ours; aria-label keeps the text for readers.
  for (const mark of document.querySelectorAll("[data-tip]")) {
    mark.setAttribute("aria-label", mark.dataset.tip);
    mark.querySelector(":scope > title")?.remove();
  }
  const show = (mark, x, y) => {
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - box.width - 8)) + "px";
    tip.style.top = (y + 18 + box.height > innerHeight ? y - box.height - 10 : y + 18) + "px";
  };
  document.addEventListener("mousemove", (event) => {
    const mark = event.target.closest?.("[data-tip]");
    if (mark) show(mark, event.clientX, event.clientY); else tip.hidden = true;
  });
  document.addEventListener("focusin", (event) => {
    const mark = event.target.closest?.("[data-tip]");
    if (!mark) return;
    const box = mark.getBoundingClientRect();
    show(mark, box.right, box.bottom);
  });
  document.addEventListener("focusout", () => { tip.hidden = true; });
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
})();
