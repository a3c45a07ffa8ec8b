import { at, chip, clock, el } from './dom.js'
import { call, isFromGateway, post } from './gateway.js'

// The same API, once as the person and once as the application; below each answer the line of the API's own audit log, found by the request id.

const APIS = [
  {
    name: 'orders',
    title: 'Orders',
    rule: 'Ada may read hers and add; Grace may only read hers.',
    columns: ['id', 'item', 'owner', 'quantity'],
  },
  { name: 'customers', title: 'Customers', rule: 'Grace may read them; Ada may not.', columns: ['id', 'name', 'city'] },
  { name: 'inventory', title: 'Inventory', rule: 'No person may read it.', columns: ['id', 'item', 'stock'] },
]
const PRINCIPALS = {
  user: { label: 'as you', path: (api) => `/api/${api}` },
  app: { label: 'as the application', path: (api) => `/api/reports/${api}` },
}

const panes = new Map()
const paneOf = (api, principal) => panes.get(`${api} ${principal}`)

/** @param who names by principal */
export const drawPrincipals = (who) => {
  at('apis').replaceChildren(
    ...APIS.map((api) =>
      el(
        'article',
        { className: 'api' },
        el('div', { className: 'api-title' }, el('h2', {}, api.title), el('p', {}, api.rule)),
        el('div', { className: 'panes' }, drawPane(api, 'user', who.user), drawPane(api, 'app', who.app)),
      ),
    ),
  )
}

const drawPane = (api, principal, who) => {
  const { label, path } = PRINCIPALS[principal]
  const status = el('span', { className: 'chip none' }, 'not read yet')
  const body = el('div', { className: 'answer' })
  const audit = el('p', { className: 'audit' })
  const raw = el('pre', { tabIndex: 0 })
  const wrote = el('p', { className: 'said', role: 'status' })
  const root = el(
    'div',
    { className: `pane ${principal}`, role: 'group', 'aria-label': `${api.title} ${label}` },
    el('div', { className: 'pane-title' }, el('h3', {}, label, ' ', el('small', {}, who)), status),
    body,
    audit,
    ...(api.name === 'orders' ? [principal === 'user' ? addForm() : tryButton(), wrote] : []),
    el('details', {}, el('summary', {}, `Raw answer of GET ${path(api.name)}`), raw),
  )
  panes.set(`${api.name} ${principal}`, { api, principal, status, body, audit, raw, wrote })
  return root
}

const addForm = () => {
  const input = el('input', { name: 'item', maxLength: 80, required: true, placeholder: 'Difference engine', autocomplete: 'off' })
  const form = el('form', { className: 'add' }, el('label', {}, 'New order', input), el('button', {}, 'Add as you'))
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    if (await write('user', input.value)) form.reset()
  })
  return form
}

const tryButton = () => {
  const button = el('button', { type: 'button', className: 'quiet' }, 'Try to add as the application')
  button.addEventListener('click', () => write('app', 'Difference engine'))
  return el('p', { className: 'add' }, button)
}

const write = async (principal, item) => {
  const pane = paneOf('orders', principal)
  const answer = await post(PRINCIPALS[principal].path('orders'), { item })
  const lines = await auditLines()
  const { kind, text, why } = verdict(answer)
  pane.wrote.replaceChildren(
    chip(kind, text),
    ' ',
    why || `“${item}” was added.`,
    el('span', { className: 'audit' }, ...auditSentence(answer, lines)),
  )
  if (answer.status === 201) await readAll(['orders'])
  return answer.status === 201
}

/** What an answer means for a person. */
export const verdict = (answer) => {
  const { status, body, retryAfter } = answer
  if (status === 0) return { kind: 'bad', text: 'no answer', why: 'The gateway itself was not reached.' }
  if (status < 400) return { kind: 'good', text: status === 201 ? '201 added' : '200 allowed', why: '' }
  if (status === 503)
    return { kind: 'wait', text: '503 wait', why: `${body.title ?? ''} Again in ${retryAfter ?? 'a few'} s; you are still signed in.` }
  if (body.code === 'policy.denied')
    return { kind: 'bad', text: '403 refused by the gateway', why: `${body.title} The route lets in analysts only. (${body.code})` }
  if (isFromGateway(answer)) return { kind: 'bad', text: `${status} refused by the gateway`, why: `${body.title} (${body.code})` }
  return { kind: 'bad', text: `${status} refused by the API`, why: body.why ?? body.error ?? '' }
}

export const readAll = async (names = APIS.map(({ name }) => name)) => {
  const wanted = [...panes.values()].filter(({ api }) => names.includes(api.name))
  const answers = await Promise.all(wanted.map(({ api, principal }) => call(PRINCIPALS[principal].path(api.name))))
  const lines = await auditLines()
  for (const [index, pane] of wanted.entries()) show(pane, answers[index], lines, seenByUser(pane.api, wanted, answers))
}

/** Ids of the rows the person may see, for the application's pane of the same API; undefined when the API refused the person altogether. */
const seenByUser = (api, wanted, answers) => {
  const index = wanted.findIndex((pane) => pane.api === api && pane.principal === 'user')
  const rows = answers[index]?.body[api.name]
  return Array.isArray(rows) ? new Set(rows.map(({ id }) => id)) : undefined
}

const show = ({ api, principal, status, body, audit, raw }, answer, lines, seen) => {
  if (answer.status === 401) return // the whole page says so
  const { kind, text, why } = verdict(answer)
  const rows = answer.body[api.name]
  status.replaceWith(Object.assign(status, { className: `chip ${kind}`, textContent: text }))
  body.replaceChildren(Array.isArray(rows) ? table(api, principal, rows, seen) : el('p', { className: 'why' }, why))
  audit.replaceChildren(...auditSentence(answer, lines))
  raw.textContent = JSON.stringify(answer.body, null, 2)
}

const table = ({ title, columns }, principal, rows, seen) => {
  const cell = (row, name, at) => {
    const hidden = at === 1 && principal === 'app' && seen && !seen.has(row.id)
    const mark = hidden ? el('small', { className: 'only' }, 'not yours to see') : undefined
    return el('td', { className: isNumber(name) }, shown(row[name]), mark)
  }
  return el(
    'table',
    {},
    el('caption', { className: 'sr' }, `${title} ${PRINCIPALS[principal].label}`),
    el('thead', {}, el('tr', {}, ...columns.map((name) => el('th', { scope: 'col', className: isNumber(name) }, name)))),
    el('tbody', {}, ...rows.map((row) => el('tr', {}, ...columns.map((name, at) => cell(row, name, at))))),
  )
}
const isNumber = (column) => (['quantity', 'stock'].includes(column) ? 'number' : '')
const shown = (value) => (typeof value === 'number' ? value.toLocaleString('en') : String(value))

const auditSentence = ({ requestId }, lines) => {
  const line = lines.find(({ request_id }) => request_id === requestId)
  if (!line) return [el('b', {}, 'Audit log: '), 'nothing. The call never reached the API.']
  return [
    el('b', {}, 'Audit log: '),
    `${clock(line.at)} `,
    el('b', { className: line.principal }, `${line.principal} ${line.subject}`),
    ` · ${line.action} · ${line.allowed ? 'allowed' : 'refused'}`,
  ]
}

const LINES_SHOWN = 12

/** All three logs, newest first; also drawn as the page's last table. */
export const auditLines = async () => {
  const { body } = await call('/demo/audit')
  if (panes.size === 0) return [] // signed out meanwhile: nothing is drawn any more
  const lines = APIS.flatMap(({ name }) => (body[name] ?? []).map((line) => ({ ...line, api: name })))
  lines.sort((a, b) => (a.at < b.at ? 1 : -1))
  at('audit')
    .querySelector('tbody')
    .replaceChildren(
      ...lines
        .slice(0, LINES_SHOWN)
        .map((line) =>
          el(
            'tr',
            {},
            el('td', {}, clock(line.at)),
            el('td', {}, line.api),
            el('td', {}, el('b', { className: line.principal }, line.principal === 'app' ? 'application' : 'user')),
            el('td', {}, line.subject),
            el('td', {}, line.action),
            el('td', {}, chip(line.allowed ? 'good' : 'bad', line.allowed ? 'allowed' : 'refused')),
          ),
        ),
    )
  return lines
}

/** Nothing of anybody stays in the page after the session. */
export const forgetPrincipals = () => {
  panes.clear()
  at('apis').replaceChildren()
  at('audit').querySelector('tbody').replaceChildren()
}
