for (const slider of document.querySelectorAll(".stage input")) {
  const slide = () => slider.parentElement.style.setProperty("--cut", slider.value + "%");
  slider.addEventListener("input", slide);
  slide(); // a browser may bring back where it was
}
