import { type ApiAnswer, type ApiRequest, type Caller, type DevApi, startDevApi } from './api.ts'

export const ORDERS = 'https://orders.demo.example/'
export const CUSTOMERS = 'https://customers.demo.example/'
export const INVENTORY = 'https://inventory.demo.example/'
export const RESOURCES: Readonly<Record<string, readonly string[]>> = {
  [ORDERS]: ['orders.read', 'orders.write'],
  [CUSTOMERS]: ['customers.read'],
  [INVENTORY]: ['inventory.read'],
}

export interface DemoApis {
  readonly orders: DevApi
  readonly customers: DevApi
  readonly inventory: DevApi
}

interface Row {
  readonly id: number
  readonly [column: string]: string | number
}

/**
 * What an API lets whom do. A scope is the ceiling of a token; below it the API keeps its own rule per user, as APIs do. An application has no such
 * rule: it may read everything its scope names and write nothing.
 */
interface Collection {
  readonly name: keyof DemoApis
  readonly rows: Row[]
  /** Subject → which rows; not listed: none, 403. */
  readonly readers: Readonly<Record<string, 'own' | 'all'>>
  readonly writers: readonly string[]
}

export const startDemoApis = async (provider: { readonly issuer: string; readonly clientId: string }): Promise<DemoApis> => {
  const start = (audience: string, collection: Collection): Promise<DevApi> =>
    startDevApi({ ...provider, audience, answer: (caller, request) => answer(collection, caller, request) })
  const [orders, customers, inventory] = await Promise.all([
    start(ORDERS, {
      name: 'orders',
      rows: [
        { id: 1, owner: 'ada', item: 'Analytical engine', quantity: 1 },
        { id: 2, owner: 'ada', item: 'Punched cards', quantity: 400 },
        { id: 3, owner: 'grace', item: 'Nanoseconds of wire', quantity: 11 },
      ],
      readers: { ada: 'own', grace: 'own' },
      writers: ['ada'],
    }),
    start(CUSTOMERS, {
      name: 'customers',
      rows: [
        { id: 1, name: 'Babbage & Daughters', city: 'London' },
        { id: 2, name: 'Jacquard Looms', city: 'Lyon' },
        { id: 3, name: 'Harvard Computation Lab', city: 'Cambridge' },
      ],
      readers: { grace: 'all' },
      writers: [],
    }),
    start(INVENTORY, {
      name: 'inventory',
      rows: [
        { id: 1, item: 'Analytical engine', stock: 2 },
        { id: 2, item: 'Punched cards', stock: 12_000 },
        { id: 3, item: 'Nanoseconds of wire', stock: 86 },
      ],
      readers: {},
      writers: [],
    }),
  ])
  return { orders, customers, inventory }
}

const ROWS_MAX = 200

const answer = (collection: Collection, caller: Caller, request: ApiRequest): ApiAnswer => {
  if (request.method === 'GET') return read(collection, caller)
  if (request.method === 'POST') return add(collection, caller, request.body)
  return { status: 405, body: { error: 'method not allowed' } }
}

const read = ({ name, readers, rows }: Collection, caller: Caller): ApiAnswer => {
  const { principal, scopes, subject } = caller
  if (!scopes.includes(`${name}.read`)) return refuse(caller, `The token lacks the scope ${name}.read.`)
  const allowed = principal === 'app' ? 'all' : Object.hasOwn(readers, subject) ? readers[subject] : undefined
  if (!allowed) return refuse(caller, `${subject} has no access to ${name}.`)
  return { status: 200, body: { seen: caller, [name]: allowed === 'all' ? rows : rows.filter((row) => row['owner'] === subject) } }
}

const add = ({ name, writers, rows }: Collection, caller: Caller, body: unknown): ApiAnswer => {
  const { principal, scopes, subject } = caller
  if (principal === 'app') return refuse(caller, 'An application may only read here.')
  if (!writers.includes(subject)) return refuse(caller, `${subject} may not write ${name}.`)
  if (!scopes.includes(`${name}.write`)) return refuse(caller, `The token lacks the scope ${name}.write.`)
  const item = itemOf(body)
  if (!item) return { status: 422, body: { error: 'send {"item": "…"} with 1 to 80 characters' } }
  if (rows.length >= ROWS_MAX) return { status: 409, body: { error: 'the demo holds no more rows' } }
  const row: Row = { id: rows.length + 1, owner: subject, item, quantity: 1 }
  rows.push(row)
  return { status: 201, body: { seen: caller, row } }
}

const refuse = (seen: Caller, why: string): ApiAnswer => ({ status: 403, body: { error: 'forbidden', why, seen } })

const itemOf = (body: unknown): string | undefined => {
  const item = typeof body === 'object' && body !== null && 'item' in body ? body.item : undefined
  return typeof item === 'string' && item.length >= 1 && item.length <= 80 ? item : undefined
}
