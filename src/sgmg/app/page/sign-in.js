// Signing in: Gradio checks name and password, and sets a cookie.

const form = document.getElementById("sign-in");
const problem = document.getElementById("problem");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("login", { method: "POST", body: new URLSearchParams(new FormData(form)) }).catch(() => null);
  if (answer?.ok) {
    location.reload();
    return;
  }
  problem.textContent = answer
    ? "Name and password do not fit; try again."
    : "The server does not answer; is it still running?";
  problem.hidden = false;
});
