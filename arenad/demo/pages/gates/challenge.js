// The edge's check: a click, a cookie, the page that was wanted.

const box = document.getElementById("person");
const status = document.getElementById("status");

box.addEventListener("change", async () => {
  box.disabled = true;
  status.textContent = "Checking…";
  const response = await fetch("/cdn-cgi/challenge-platform/clear", { method: "POST" });
  if (response.ok) location.reload();
  else status.textContent = "That did not work. Reload the page to try again.";
});
