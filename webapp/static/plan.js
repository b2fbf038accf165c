// Shows what a form would cost only if the answer is about the fields that stand there: one that was asked before an
// arm came or went, or the task changed, has messages for fields that are gone, and a newer answer is on its way.

const fields = () => [...document.querySelectorAll("#experiment [name]")].map((field) => field.name).join();

document.addEventListener("htmx:beforeRequest", ({ target: plan, detail: { xhr } }) => {
  if (plan.id !== "plan") return;
  const asked = fields();
  const compare = ({ detail }) => { if (detail.xhr === xhr) detail.shouldSwap &&= plan.isConnected && fields() === asked; };
  plan.addEventListener("htmx:beforeSwap", compare, { once: true });
});
