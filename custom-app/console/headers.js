// What an answer's headers tell: text in, plain values out. Whatever a header holds, nothing throws.

/** Splits text at a delimiter that does not stand inside a quoted string. */
function splitUnquoted(text, delimiter) {
  const parts = [''];
  let quoted = false;
  for (let i = 0; i < text.length; i += 1) {
    const escaped = quoted && text[i] === '\\';
    if (text[i] === '"') quoted = !quoted;
    if (text[i] === delimiter && !quoted) parts.push('');
    else parts[parts.length - 1] += escaped ? text[i] + (text[(i += 1)] ?? '') : text[i];
  }
  return parts.map((part) => part.trim());
}

/** A token as it is, a quoted string without its quotes and escapes. */
function unquote(text) {
  const quoted = /^"((?:[^"\\]|\\.)*)"?$/s.exec(text);
  return quoted ? quoted[1].replace(/\\(.)/gs, '$1') : text;
}

/** The members of a list header: `a;x=1, b;y="2"` as `[{name, parameters}, …]`. */
function members(header) {
  return splitUnquoted(header ?? '', ',').filter(Boolean).map((member) => {
    const [name, ...rest] = splitUnquoted(member, ';');
    const pairs = rest.map((pair) => splitUnquoted(pair, '=')).map(([key, ...value]) =>
      [key.toLowerCase(), unquote(value.join('='))]);
    return { name: unquote(name), parameters: Object.fromEntries(pairs) };
  });
}

/** A number where the text is one, else null. */
function number(text) {
  return /^\d+(\.\d+)?$/.test(text ?? '') ? Number(text) : null;
}

/** `server-timing`: of each metric its duration in ms and its description; the last of a name counts. */
function serverTiming(header) {
  return new Map(members(header).map(({ name, parameters }) =>
    [name, { dur: number(parameters.dur), desc: parameters.desc ?? null }]));
}

/** `proxy-status` (RFC 9209): what the filter says; of several members the one nearest to us. */
function proxyStatus(header) {
  const ours = members(header).findLast(({ name }) => name === 'faultline')?.parameters ?? {};
  const details = Object.fromEntries((ours.details ?? '').split(' ').map((pair) => pair.split('=')));
  return {
    error: ours.error ?? null,
    outcome: details.outcome ?? null,
    attempts: number(details.attempts),
    flags: details.flags ?? null,
  };
}

/** All that the filter told about an exchange; null for what it did not tell. */
function told(timingHeader, statusHeader) {
  const timing = serverTiming(timingHeader);
  const status = proxyStatus(statusHeader);
  return {
    ...status,
    outcome: status.outcome ?? timing.get('faultline')?.desc ?? null,
    attempts: status.attempts ?? number(timing.get('attempts')?.desc),
    gatewayMs: timing.get('faultline')?.dur ?? null,
  };
}
