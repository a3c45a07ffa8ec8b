import { at, clock, definitions, el, length, setText } from './dom.js'
import { call } from './gateway.js'

// Who is signed in, how long the session lasts, and what a script finds in this browser.

const CHECK_EVERY_MS = 5_000
let timers
let readAt = 0
let watching

/** @returns the claims, or undefined when nobody is signed in */
export const whoIsIt = async () => {
  const { status, body } = await call('/bff/user?slide=false')
  if (status !== 200) return undefined
  take(body.session)
  return body.claims
}

const take = (session) => {
  timers = session
  readAt = performance.now()
}

/** Looks at the timers without keeping the session alive by looking. @returns status of the answer */
export const checkSession = async () => {
  const { status, body } = await call('/bff/session')
  if (status === 200) take(body)
  return status
}

const shown = {}
export const startTimers = () => {
  const span = (name) => (shown[name] = el('span', { className: 'time' }))
  at('timers').replaceChildren(
    ...definitions([
      ['Ends when idle', span('idle'), el('small', {}, 'every call moves it')],
      ['Ends at the latest', span('end'), el('small', {}, 'nothing moves it')],
      ['Provider last asked', span('renewed'), el('small', {}, 'at sign-in and at every refresh')],
    ]),
  )
  drawHolds()
  tick()
  watching ??= [setInterval(tick, 1_000), setInterval(() => document.hidden || checkSession(), CHECK_EVERY_MS)]
}

export const stopTimers = () => {
  for (const timer of watching ?? []) clearInterval(timer)
  watching = undefined
  at('timers').replaceChildren()
}

const tick = () => {
  if (!timers) return
  const passed = (performance.now() - readAt) / 1000
  setText(shown.idle, `in ${length(timers.timeout_in_seconds - passed)}`)
  setText(shown.end, `in ${length(timers.ends_in_seconds - passed)}`)
  setText(shown.renewed, `at ${clock(timers.refreshed_at)}`)
}

export const refreshedAt = () => timers?.refreshed_at

addEventListener('visibilitychange', () => {
  if (!document.hidden && watching) void checkSession()
})

const entries = (count) => (count === 0 ? 'empty' : `${count} entries`)

/** Looked up, not asserted: what any script in this page would find. */
export const drawHolds = async () => {
  const names = document.cookie === '' ? [] : document.cookie.split('; ').map((cookie) => cookie.split('=')[0])
  const databases = await indexedDB.databases?.().catch(() => [])
  at('holds').replaceChildren(
    ...definitions([
      ['Cookies it cannot read', 'one, the session'],
      ['Cookies a script can read', names.length === 0 ? 'none' : `${names.join(', ')} (of other applications on this host)`],
      ['Local storage', entries(localStorage.length)],
      ['Session storage', entries(sessionStorage.length)],
      ['IndexedDB', entries(databases?.length ?? 0)],
      ['Access tokens', 'none'],
    ]),
  )
  at('cookie-name').textContent = `__Host-Http-sallyport${location.port && `-${location.port}`}`
}
