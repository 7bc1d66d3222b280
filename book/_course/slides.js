const slides = [...document.querySelectorAll(".slide")];
const here = () => slides.findIndex((slide) => slide.getBoundingClientRect().bottom > 1 + innerHeight / 2);
const show = (index) => slides[Math.max(0, Math.min(slides.length - 1, index))].scrollIntoView();

slides.forEach((slide, index) => {
  slide.id = `${index + 1}`;
  const number = document.createElement("span");
  number.textContent = `${index + 1} / ${slides.length}`;
  slide.querySelector("footer")?.append(number);
});

const steps = { ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1 };
addEventListener("keydown", (event) => {
  // A control keeps its own keys: the arrows move a figure.
  if (event.target.closest("input, select, a") || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Home") show(0);
  else if (event.key === "End") show(slides.length - 1);
  else if (event.key in steps) show(here() + steps[event.key]);
  else return;
  event.preventDefault();
});

for (const figure of document.querySelectorAll(".live")) {
  const controls = [...figure.querySelectorAll("input, select")];
  figure.addEventListener("input", () => {
    const at = controls.map((control) => control.selectedIndex ?? +control.value).join(" ");
    const frame = figure.querySelector(`template[data-at="${at}"]`);
    figure.querySelector(".frame").replaceChildren(frame.content.cloneNode(true));
    for (const control of controls.filter((one) => one.type === "range")) {
      const label = JSON.parse(control.dataset.labels)[+control.value];
      control.ariaValueText = control.nextElementSibling.textContent = label;
    }
  });
}

// What is too long for its slide is set smaller, not cut off.
function fit() {
  for (const slide of slides) {
    const body = slide.querySelector(".body");
    if (!body) continue;
    for (let size = 1; size >= 0.5; size -= 0.04) {
      body.style.fontSize = `${size}em`;
      if (body.scrollHeight <= body.clientHeight + 1) break;
    }
  }
}
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  fit();
  document.documentElement.dataset.ready = "yes";
});
addEventListener("resize", fit);
