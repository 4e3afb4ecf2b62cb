// Lanes and texts as elements. Every text becomes a text node: nothing a server says is read as HTML.

/** An element with properties and children. */
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** A mark at its place on an axis that ends at `end`; one without an end grows until it is redrawn. */
function drawMark({ kind, tone, from, to, at }, end) {
  const mark = element('i', { className: `${kind} ${tone}` });
  mark.style.left = `${(100 * (from ?? at)) / end}%`;
  if (kind === 'span') {
    mark.style.width = `${(100 * Math.max((to ?? from) - from, 0)) / end}%`;
    mark.classList.toggle('open', to === undefined);
  }
  return mark;
}

function drawAxis(end) {
  const labels = ticks(end).map((time) => {
    const label = element('span', {}, time === 0 ? '0' : `${time / 1000} s`);
    label.style.left = `${(100 * time) / end}%`;
    label.classList.toggle('last', time === end);
    return label;
  });
  return element('li', { className: 'axis', ariaHidden: 'true' }, element('span', { className: 'track' }, ...labels));
}

/** Draws lanes into a list. The marks are for the eye; name and note say the same. */
function drawLanes(list, lanes, end) {
  list.style.setProperty('--tick', `${(100 * (ticks(end)[1] ?? end)) / end}%`);
  list.replaceChildren(...lanes.map(({ name, note, marks }) => element('li', {},
    element('span', { className: 'name' }, name),
    element('span', { className: 'note' }, note),
    element('span', { className: 'track', ariaHidden: 'true' }, ...marks.map((mark) => drawMark(mark, end))),
  )), drawAxis(end));
}

/** Lengthens what is still going on. */
function growOpenMarks(list, now, end) {
  for (const mark of list.querySelectorAll('.open')) mark.style.width = `${(100 * Math.min(now, end)) / end}%`;
}

function drawEntry({ id, time, level, message, source }) {
  const clock = element('time', { dateTime: time, title: time }, new Date(time).toLocaleTimeString());
  const shown = message.length > 300 ? `${message.slice(0, 300)}…` : message;
  const row = element('li', {}, clock, element('b', { className: level }, level), element('span', { className: 'message' }, shown), element('small', {}, source));
  row.dataset.id = id;
  return row;
}

/** Draws entries into a list if they changed; those that were not there before are marked as new. */
function drawEntries(list, entries) {
  const ids = entries.map(({ id }) => id).join();
  if (list.dataset.ids === ids) return;
  list.dataset.ids = ids;
  const known = new Map([...list.children].map((row) => [row.dataset.id, row]));
  const rows = entries.map((entry) => {
    const row = known.get(entry.id) ?? drawEntry(entry);
    row.classList.toggle('new', known.size > 0 && !known.has(entry.id));
    return row;
  });
  list.replaceChildren(...rows);
}

function drawInstance({ source, status, uptime_seconds: uptime, outbox }) {
  const state = status === 'ok' ? '' : `${status}; `;
  const count = outbox.refused + outbox.conflicting;
  const aside = count ? `, ${count} set aside` : '';
  return element('li', {}, element('code', {}, source), ` ${state}up ${uptimeText(uptime)}, ${outbox.pending} to hand over${aside}`);
}

function uptimeText(total) {
  const [size, unit] = [[86_400, 'd'], [3600, 'h'], [60, 'min']].find(([seconds]) => total >= seconds) ?? [1, 's'];
  return `${Math.floor(total / size)} ${unit}`;
}
