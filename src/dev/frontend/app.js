// A frontend behind the gateway: plain fetch, one CSRF header, and a 401 that says where to sign in. No token, no library.
import { at } from './dom.js'
import { post, whenSignedOut } from './gateway.js'
import { drawPrincipals, forgetPrincipals, readAll } from './principals.js'
import { drawProvider, isAway, startProvider } from './provider.js'
import { forgetPulse, isBeating, startPulse, stopPulse } from './pulse.js'
import { checkSession, refreshedAt, startTimers, stopTimers, whoIsIt } from './session.js'

let signedIn = false

const state = (name) => {
  document.body.dataset.state = name
  at('signed-out').hidden = name !== 'out'
  at('signed-in').hidden = name !== 'in'
  at('ended').hidden = name !== 'ended'
  at('sign-out').hidden = name !== 'in'
}

const enter = async (claims) => {
  signedIn = true
  const name = claims.name ?? claims.sub
  at('who').textContent = `Signed in as ${name}`
  drawPrincipals({ user: name, app: 'sallyport-demo' })
  state('in')
  startTimers()
  await Promise.all([readAll(), drawProvider()])
}

/** The first 401 of any call ends up here: everything of the person leaves the page. */
whenSignedOut((problem) => {
  if (!signedIn) return
  leave()
  at('ended-why').textContent =
    `Another tab signed out, or the session came to its end. This tab learned it from the answer to its next call: 401 ${problem.code}.`
  at('sign-in-again').href = `${problem.login_url}${problem.login_url.includes('?') ? '&' : '?'}return_to=%2F`
  state('ended')
  at('sign-in-again').focus()
})

const leave = () => {
  signedIn = false
  forgetPulse()
  stopTimers()
  forgetPrincipals()
  at('who').textContent = 'Not signed in'
}

/** The gateway ends the session; the provider is told by the navigation, if it is there. */
const signOut = async (path) => {
  signedIn = false
  const { status, body } = await post(path)
  if (status >= 400 && status !== 401) {
    signedIn = true
    at('who').textContent = body.title ?? 'Signing out did not work.'
    return
  }
  leave()
  location.assign(body.location ?? '/')
}
at('sign-out').addEventListener('click', () => signOut(isAway() ? '/bff/logout/local' : '/bff/logout'))
at('sign-out-local').addEventListener('click', () => signOut('/bff/logout/local'))

at('read-all').addEventListener('click', () => readAll())
at('watch').addEventListener('click', () => (isBeating() ? stopPulse() : startPulse()))
at('refresh').addEventListener('click', async () => {
  const before = refreshedAt()
  const { status, body } = await post('/bff/session/refresh')
  if (status === 200) await checkSession()
  at('refresh-said').textContent =
    status !== 200
      ? `${status}: ${body.title ?? 'no answer'}`
      : before === refreshedAt()
        ? 'They are new enough: at most one refresh in ten seconds.'
        : 'New tokens, and a new refresh token: the old one is spent.'
})
startProvider()

// A page restored from the back/forward cache shows what was true then: look again.
addEventListener('pageshow', (event) => {
  if (event.persisted) location.reload()
})

const claims = await whoIsIt()
if (claims) await enter(claims)
else {
  at('who').textContent = 'Not signed in'
  state('out')
  await drawProvider()
}
