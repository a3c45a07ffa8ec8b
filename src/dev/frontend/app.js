// A frontend behind the gateway: plain fetch, one CSRF header, and a 401 that says where to sign in. No token, no library.
const at = (id) => document.getElementById(id)
const call = (path, options = {}) => fetch(path, { ...options, headers: { accept: 'application/json', 'x-csrf': '1', ...options.headers } })

const show = async () => {
  const answer = await call('/bff/user?slide=false')
  const user = answer.ok ? await answer.json() : undefined
  at('signed-out').hidden = user !== undefined
  at('signed-in').hidden = user === undefined
  at('who').replaceChildren(
    ...(user ? [text('span', `Signed in as ${user.claims.name ?? user.claims.sub}`), signOutButton()] : [text('span', 'Not signed in')]),
  )
  if (user) holds(user)
}

const text = (tag, content) => Object.assign(document.createElement(tag), { textContent: content })

const signOutButton = () => {
  const button = Object.assign(text('button', 'Sign out'), { type: 'button', className: 'quiet', id: 'logout' })
  button.addEventListener('click', async () => {
    const answer = await call('/bff/logout', { method: 'POST' })
    const { location: next } = await answer.json()
    location.assign(next ?? '/')
  })
  return button
}

const holds = (user) => {
  const rows = [
    ['Cookies a script can read', document.cookie === '' ? 'none' : document.cookie.split(';').length],
    ['Local storage', localStorage.length === 0 ? 'empty' : `${localStorage.length} entries`],
    ['Session storage', sessionStorage.length === 0 ? 'empty' : `${sessionStorage.length} entries`],
    ['Idle end', new Date(user.session.timeout_at).toLocaleTimeString()],
    ['Absolute end', new Date(user.session.ends_at).toLocaleTimeString()],
    ['Tokens renewed', new Date(user.session.refreshed_at).toLocaleTimeString()],
  ]
  at('holds').replaceChildren(...rows.flatMap(([term, value]) => [text('dt', term), text('dd', String(value))]))
}

const print = async (into, answer) => {
  const body = await answer.json().catch(() => ({}))
  if (answer.status === 401 && body.login_url) {
    location.assign(body.login_url)
    return
  }
  at(into).textContent = `${answer.status} ${answer.statusText}\n${JSON.stringify(body, null, 2)}`
}

for (const button of document.querySelectorAll('[data-call]'))
  button.addEventListener('click', async () => print(button.dataset.call, await call(`/api/${button.dataset.call}`)))

at('add').addEventListener('submit', async (event) => {
  event.preventDefault()
  const item = new FormData(event.target).get('item')
  await print(
    'orders',
    await call('/api/orders', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ item }) }),
  )
  event.target.reset()
})

at('refresh').addEventListener('click', async () => {
  await call('/bff/session/refresh', { method: 'POST' })
  await show()
})

// A page restored from the back/forward cache shows what was true then: look again.
addEventListener('pageshow', (event) => {
  if (event.persisted) location.reload()
})
await show()
