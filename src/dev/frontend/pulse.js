import { at, chip, clock, el, length } from './dom.js'
import { call } from './gateway.js'
import { auditLines, verdict } from './principals.js'

// A call every two seconds as each principal. What changes is the token behind it; what the caller sees does not.

const EVERY_MS = 2_000
const CALLS = [
  { key: 'user', label: 'as you', path: '/api/orders' },
  { key: 'app', label: 'as the application', path: '/api/reports/orders' },
]
let counts = new Map()
let timer
let onBeat = () => undefined

export const whenBeating = (listener) => (onBeat = listener)
export const isBeating = () => timer !== undefined

export const startPulse = () => {
  if (timer !== undefined) return
  counts = new Map(
    CALLS.map(({ key }) => [key, { calls: 0, waits: 0, failures: 0, tokens: new Set(), last: undefined, expires: undefined }]),
  )
  timer = setInterval(beat, EVERY_MS)
  press(true)
  void beat()
}

export const stopPulse = () => {
  clearInterval(timer)
  timer = undefined
  press(false)
}

export const forgetPulse = () => {
  stopPulse()
  at('pulse').querySelector('tbody').replaceChildren()
}

const press = (on) => {
  at('watch').setAttribute('aria-pressed', String(on))
  at('watch').textContent = on ? 'Stop watching' : 'Watch'
}

const beat = async () => {
  const answers = await Promise.all(CALLS.map(({ path }) => call(path)))
  if (timer === undefined) return
  for (const [index, { key }] of CALLS.entries()) count(counts.get(key), answers[index])
  draw()
  onBeat(Object.fromEntries(CALLS.map(({ key }, index) => [key, answers[index]])))
  await auditLines()
}

/** A refusal by rule is an answer, and the same one every time; a failure is what nobody decided. */
const count = (into, answer) => {
  into.last = answer
  into.calls += 1
  if (answer.status === 503) into.waits += 1
  else if (answer.status === 0 || answer.status >= 500 || answer.status === 401) into.failures += 1
  const { token } = answer.body.seen ?? {}
  if (!token) return
  into.tokens.add(token.issued_at)
  into.expires = token.expires_at
}

const draw = () => {
  at('pulse')
    .querySelector('tbody')
    .replaceChildren(
      ...CALLS.map(({ key, label }) => {
        const { calls, waits, failures, tokens, last, expires } = counts.get(key)
        const { kind, text } = verdict(last)
        const left = expires ? (new Date(expires) - Date.now()) / 1000 : undefined
        const number = (name, value) => el('td', { className: 'number', 'data-label': name }, String(value))
        return el(
          'tr',
          { 'data-principal': key },
          el('th', { scope: 'row', className: key }, label),
          el('td', { 'data-label': 'Last answer' }, chip(kind, text)),
          el(
            'td',
            { 'data-label': 'Token runs out' },
            left === undefined ? 'no token' : left > 0 ? `in ${length(left)}, at ${clock(expires)}` : 'has run out',
          ),
          number('Tokens', tokens.size),
          number('Calls', calls),
          number('Told to wait', waits),
          number('Failed', failures),
        )
      }),
    )
}
