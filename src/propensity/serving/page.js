"use strict";
for (const card of document.querySelectorAll("article")) {
  const find = (name) => card.querySelector(name);
  const choice = find("select"), body = find("textarea"), region = find("input"), result = find(".result"), said = find(".said");
  if (choice) choice.addEventListener("change", () => { body.value = JSON.parse(choice.selectedOptions[0].dataset.example); });
  find("button").addEventListener("click", async () => {
    const path = card.dataset.path.replace("{region}", () => encodeURIComponent(region ? region.value : ""));
    const asked = { method: card.dataset.method, headers: body ? { "content-type": "application/json" } : {} };
    if (body) asked.body = body.value;
    const started = performance.now();
    try {
      const answer = await fetch(path, asked);
      const text = await answer.text(), took = performance.now() - started;
      let shown = text;
      try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* metrics are text */ }
      result.textContent = shown;
      said.textContent = `${answer.status}, ${took.toFixed(1)} ms here`;
      said.className = `said status ${answer.ok ? "good" : "bad"}`;
    } catch (error) {
      result.textContent = "";
      said.textContent = `no answer: ${error.message}`;
      said.className = "said status bad";
    }
  });
}
