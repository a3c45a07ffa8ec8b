import { at, chip, clock, el } from './dom.js'
import { call, control } from './gateway.js'
import { startPulse, whenBeating } from './pulse.js'
import { verdict } from './principals.js'

// The switch, and what goes on without the provider.

let away = false
let seconds = 20

export const isAway = () => away

export const drawProvider = async () => {
  const { status, body } = await call('/demo/controls')
  if (status !== 200) return
  show(body)
}

const show = ({ provider, access_token_seconds }) => {
  away = provider === 'away'
  seconds = access_token_seconds
  at('token-seconds').textContent = String(seconds)
  at('provider-state').replaceWith(
    Object.assign(at('provider-state'), { className: `chip ${away ? 'bad' : 'good'}`, textContent: away ? 'down' : 'up' }),
  )
  at('provider-switch').textContent = away ? 'Bring it back' : 'Take it down'
  at('provider-switch').className = away ? '' : 'danger'
  at('provider-text').textContent = away
    ? 'It refuses every connection. The session stays; each call works until its token runs out, then it is told when to come back.'
    : `The gateway needs it for signing in and for new tokens, and for nothing else. Take it down and wait ${seconds} seconds.`
  at('provider-checks').hidden = !away
  at('down').hidden = !away
}

const flip = async () => {
  const wasAway = away
  at('provider-switch').disabled = true
  const { status, body } = await control(wasAway ? 'provider/back' : 'provider/away')
  at('provider-switch').disabled = false
  if (status !== 200) {
    at('provider-said').textContent = body.error ?? 'That did not work.'
    return
  }
  show(body)
  at('provider-said').textContent = wasAway
    ? `Back since ${clock(Date.now())}: the next calls get new tokens.`
    : `Down since ${clock(Date.now())}.`
  if (!at('signed-in').hidden) startPulse()
}

/** The session is asked, not assumed: its answer comes from the gateway alone. */
const check = async (answers) => {
  if (!away) return
  const session = await call('/bff/session')
  const line = (label, kind, text, why) => el('li', {}, el('span', {}, label), chip(kind, text), why ? el('small', {}, why) : undefined)
  const ofCall = (label, answer) => {
    const { kind, text, why } = verdict(answer)
    return line(label, kind, text, why)
  }
  at('provider-checks').replaceChildren(
    line('Your session', session.status === 200 ? 'good' : 'bad', session.status === 200 ? 'signed in' : 'ended'),
    ofCall('Orders as you', answers.user),
    ofCall('Orders as the application', answers.app),
    line('New sign-ins', 'wait', 'not now', 'Try it in a new tab.'),
  )
}

export const startProvider = () => {
  at('provider-switch').addEventListener('click', flip)
  at('down-back').addEventListener('click', flip)
  whenBeating(check)
}
