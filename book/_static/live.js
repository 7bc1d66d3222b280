// A live figure's widget manager weighs more than all the rest of its page: it is fetched once a reader comes near,
// scrolling or by keyboard. Until then the static picture stands in, with room above it for the controls.
{
  const SCRIPTS = {
    "https://cdn.jsdelivr.net/npm/requirejs@2.3.4/require.js":
      "sha384-ZVcHHRwLjx9R9yYWTqgKSA593zR4LerzC+g4hScBBQ1S+2MkUCQT6TBCSDAIiG5p",
    "https://cdn.jsdelivr.net/npm/@jupyter-widgets/html-manager@1.0.6/dist/embed-amd.js":
      "sha384-8oRI1HqQDEJoGjgIf2e9f3+ZzRS8TK+TS8K3D35WjVATOJdyC9k8YXtNReXfHprZ",
  };
  const typed = (kind) => document.querySelectorAll(`script[type="application/vnd.jupyter.widget-${kind}+json"]`);
  const views = [...typed("view")], { state } = JSON.parse(typed("state")[0].textContent);
  const stops = views.map((view) => view.closest(".cell_output")); // the theme sets the tabindex of what is in it
  const near = new IntersectionObserver((seen) => seen.some((figure) => figure.isIntersecting) && load(), {
    rootMargin: "50% 0px", // half a screen ahead
  });

  function load() {
    near.disconnect();
    for (const stop of stops) {
      stop.removeEventListener("focusin", load);
      stop.tabIndex = -1; // it keeps the focus, and the next one to have it is the first control
    }
    for (const [src, integrity] of Object.entries(SCRIPTS)) {
      const script = Object.assign(document.createElement("script"), { src, integrity, crossOrigin: "anonymous" });
      script.async = false; // one after the other
      document.head.append(script);
    }
  }

  for (const view of views) {
    const { children } = state[JSON.parse(view.textContent).model_id].state; // the controls, and last the frames
    const picture = view.parentElement.querySelector(".fnequiv-static");
    picture?.style.setProperty("--controls", children.length - 1); // pages.css makes room
  }
  for (const stop of stops) {
    stop.tabIndex = 0;
    stop.addEventListener("focusin", load);
    near.observe(stop);
  }
}
