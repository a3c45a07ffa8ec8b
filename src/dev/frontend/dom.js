// Small helpers: text is always set as text, never as markup.
export const at = (id) => document.getElementById(id)

/** An element with properties, data and children; strings become text. */
export const el = (tag, properties = {}, ...children) => {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value
    else element.setAttribute(name, value)
  }
  element.append(...children.filter((child) => child !== undefined))
  return element
}

/** good: it worked; bad: somebody said no; wait: come back; none: nothing happened. The words say it too, the colour only helps. */
export const chip = (kind, text) => el('span', { className: `chip ${kind}` }, text)

export const definitions = (rows) => rows.flatMap(([term, ...values]) => [el('dt', {}, term), el('dd', {}, ...values)])

export const clock = (time) =>
  new Date(time).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })

/** 3:07, 59:41, 9:59:12 */
export const length = (seconds) => {
  const whole = Math.max(0, Math.floor(seconds))
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const pad = (part) => String(part).padStart(2, '0')
  return h > 0 ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`
}

/** For spans that live between two renderings, so that a screen reader is not told the same again. */
export const setText = (element, text) => {
  if (element.textContent !== text) element.textContent = text
}
