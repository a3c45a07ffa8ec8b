import { type Caller, type DevApi, type ApiAnswer, startDevApi } from './api.ts'

export const ORDERS = 'https://orders.demo.example/'
export const REPORTS = 'https://reports.demo.example/'
export const RESOURCES: Readonly<Record<string, readonly string[]>> = {
  [ORDERS]: ['orders.read', 'orders.write'],
  [REPORTS]: ['reports.read'],
}

interface Order {
  readonly id: number
  readonly owner: string
  readonly item: string
  readonly quantity: number
}

export interface DemoApis {
  readonly orders: DevApi
  readonly reports: DevApi
}

/** `orders` keeps a rule per user and refuses applications; `reports` sums up everybody's orders and refuses users. */
export const startDemoApis = async (provider: { readonly issuer: string; readonly clientId: string }): Promise<DemoApis> => {
  const rows: Order[] = [
    { id: 1, owner: 'ada', item: 'Analytical engine', quantity: 1 },
    { id: 2, owner: 'ada', item: 'Punched cards', quantity: 400 },
    { id: 3, owner: 'grace', item: 'Nanoseconds of wire', quantity: 11 },
  ]
  const orders = await startDevApi({ ...provider, audience: ORDERS, answer: (caller, request) => answerOrders(rows, caller, request) })
  const reports = await startDevApi({ ...provider, audience: REPORTS, answer: (caller, request) => answerReports(rows, caller, request) })
  return { orders, reports }
}

const MOST_ROWS = 200

const answerOrders = (rows: Order[], caller: Caller, request: { method: string; path: string; body: unknown }): ApiAnswer => {
  if (caller.principal !== 'user') return refuse('users only', caller)
  if (request.method === 'GET') {
    if (!caller.scopes.includes('orders.read')) return refuse('orders.read is missing', caller)
    return { status: 200, body: { seen: caller, orders: rows.filter((row) => row.owner === caller.subject) } }
  }
  if (request.method !== 'POST') return { status: 405, body: { error: 'method not allowed' } }
  if (!caller.scopes.includes('orders.write')) return refuse('orders.write is missing', caller)
  const item = itemOf(request.body)
  if (!item) return { status: 422, body: { error: 'send {"item": "…"} with 1 to 80 characters' } }
  if (rows.length >= MOST_ROWS) return { status: 409, body: { error: 'the demo holds no more orders' } }
  const row: Order = { id: rows.length + 1, owner: caller.subject, item, quantity: 1 }
  rows.push(row)
  return { status: 201, body: { seen: caller, order: row } }
}

const answerReports = (rows: readonly Order[], caller: Caller, request: { method: string }): ApiAnswer => {
  if (caller.principal !== 'app') return refuse('applications only', caller)
  if (request.method !== 'GET') return { status: 405, body: { error: 'method not allowed' } }
  if (!caller.scopes.includes('reports.read')) return refuse('reports.read is missing', caller)
  return { status: 200, body: { seen: caller, orders: rows.length, pieces: rows.reduce((sum, row) => sum + row.quantity, 0) } }
}

const refuse = (why: string, caller: Caller): ApiAnswer => ({ status: 403, body: { error: 'forbidden', why, seen: caller } })

const itemOf = (body: unknown): string | undefined => {
  const item = typeof body === 'object' && body !== null && 'item' in body ? body.item : undefined
  return typeof item === 'string' && item.length >= 1 && item.length <= 80 ? item : undefined
}
