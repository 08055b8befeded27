const figures = JSON.parse(document.getElementById("figures").textContent);
const config = {displayModeBar: false, responsive: true};

function coloured(value, key, style) {
  if (typeof value === "string" && key.endsWith("color") && value.startsWith("var("))
    return style.getPropertyValue(value.slice(4, -1)).trim();
  if (Array.isArray(value)) return value.map(each => coloured(each, "", style));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, coloured(each, name, style)]));
}

function draw() {
  const style = getComputedStyle(document.documentElement);
  const touched = matchMedia("(pointer: coarse)").matches; // where a finger has to scroll, not to zoom
  for (const [id, figure] of Object.entries(figures)) {
    const {data, layout} = coloured(figure, "", style);
    Plotly.react(id, data, {...layout, dragmode: touched ? false : "zoom"}, config);
  }
}

draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
