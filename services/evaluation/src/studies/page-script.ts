/** Keys and answers without a new page; without it the forms work all the same, by Tab, Space and Enter. */
export const pageScript = `'use strict';
const status = document.getElementById('status');

function tell(text, failed) {
  status.textContent = text;
  status.classList.toggle('shown', failed);
}

function show(page) {
  const next = page.querySelector('main');
  if (!next) throw new Error('no page');
  document.querySelector('main').replaceWith(document.adoptNode(next));
  document.title = page.title;
  tell(page.getElementById('status').textContent, false);
  document.getElementById('focus')?.focus();
  scrollTo(0, 0);
}

async function send(form) {
  const main = document.querySelector('main');
  if (main.getAttribute('aria-busy') === 'true') return;
  main.setAttribute('aria-busy', 'true');
  try {
    const response = await fetch(form.action, { method: 'POST', body: new URLSearchParams(new FormData(form)) });
    show(new DOMParser().parseFromString(await response.text(), 'text/html'));
  } catch {
    main.removeAttribute('aria-busy');
    tell('Your answer could not be sent. Press Enter to try again: it counts once.', true);
  }
}

document.addEventListener('submit', (event) => {
  event.preventDefault();
  void send(event.target);
});

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const { target, key } = event;
  if (target.matches('input[type=number]')) return;
  const form = document.querySelector('main form');
  if (!form) return;
  if (key === 'Enter') {
    // Of buttons and links it is theirs.
    if (event.repeat || target.closest('button, a')) return;
    event.preventDefault();
    form.requestSubmit();
    return;
  }
  if (!/^[0-9]$/.test(key)) return;
  const choice = form.querySelector('input[data-key="' + key + '"]');
  if (!choice) return;
  event.preventDefault();
  choice.checked = choice.type === 'radio' || !choice.checked;
  choice.focus();
});
`;
