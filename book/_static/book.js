// What scrolls sideways can be reached by keyboard: long equations and wide outputs. And lists of papers are lists.
(function () {
  for (const entry of document.querySelectorAll(".citation-list > .citation")) {
    entry.setAttribute("role", "listitem");
  }

  function reach() {
    for (const block of document.querySelectorAll("div.math, .cell_output pre, .highlight pre, .pst-scrollable-table-container")) {
      if (block.scrollWidth > block.clientWidth + 1) {
        block.tabIndex = 0;
        if (block.matches("div.math")) {
          block.setAttribute("role", "region");
          block.setAttribute("aria-label", "equation, scrolls sideways");
        }
      }
    }
  }
  window.addEventListener("load", function () {
    const typeset = window.MathJax && window.MathJax.startup && window.MathJax.startup.promise;
    Promise.resolve(typeset).then(reach);
  });
  window.addEventListener("resize", reach);
})();
