import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Clock } from '../../../src/kernel/time.ts'
import { instant } from '../../../src/kernel/time.ts'
import { selfSigned } from '../self-signed.ts'
import { emulatorClock, type EmulatorClock } from './core-clock.ts'
import { changedReply } from './core-effects.ts'
import { cookiesOf, type EndpointName, type Exchange, type Reply } from './core-exchange.ts'
import { type Fault, type FaultPlan, faultPlan, type Faults } from './core-faults.ts'
import type { SigningKeys } from './core-keys.ts'
import { type CallRecord, recorder } from './core-record.ts'

export interface EmulatorServerOptions {
  /** The test's clock; the machine's unless told. */
  readonly clock?: Pick<Clock, 'now'> | undefined
  /** A plan several emulators may share; an own one unless told. */
  readonly faults?: FaultPlan | undefined
  /** Serves TLS with a certificate made on the spot (`ca`), for `localhost` and 127.0.0.1. */
  readonly tls?: boolean | undefined
  /** In the origin; must lead to 127.0.0.1. */
  readonly host?: string | undefined
  readonly port?: number | undefined
}

/** What one provider adds to the server. */
export interface Emulated {
  readonly keys: SigningKeys
  endpointOf(method: string, url: URL): EndpointName
  handle(exchange: Exchange): Promise<Reply> | Reply
}

export interface EmulatorServer {
  readonly origin: string
  readonly port: number
  /** With `tls`: what a client has to trust. */
  readonly ca: string | undefined
  readonly clock: EmulatorClock
  readonly faults: Faults
  readonly record: CallRecord
  /** Refuses connections until `back`. */
  away(): Promise<void>
  back(): Promise<void>
  stop(): Promise<void>
}

/** A provider's half of HTTP on loopback: parsing, the fault plan, the record. What it says is `emulated`'s; it is asked for once the origin is known. */
export const startEmulatorServer = async (
  emulated: (place: { readonly origin: string; readonly clock: EmulatorClock }) => Emulated | Promise<Emulated>,
  options: EmulatorServerOptions = {},
): Promise<EmulatorServer> => {
  const clock = emulatorClock(options.clock)
  const faults = options.faults ?? faultPlan()
  const record = recorder()
  let serial = 0

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { keys, endpointOf, handle } = await ready
    const url = new URL(request.url ?? '/', origin)
    const notes: Record<string, unknown> = {}
    const head: Exchange = {
      endpoint: endpointOf(request.method ?? 'GET', url),
      method: request.method ?? 'GET',
      url,
      query: url.searchParams,
      form: new URLSearchParams(),
      body: '',
      headers: request.headers,
      cookies: cookiesOf(request.headers.cookie),
      now: clock.now(),
      serial: (serial += 1),
      note: (facts) => void Object.assign(notes, facts),
    }
    const early = faults.take(head, false)
    if (early.length > 0) {
      record.add(head, { reply: undefined, answered: false, faults: early.map(({ name }) => name), notes })
      return reset(request)
    }

    const body = await readBody(request)
    const isForm = /^application\/x-www-form-urlencoded/i.test(request.headers['content-type'] ?? '')
    const read: Exchange = { ...head, body, form: new URLSearchParams(isForm ? body : '') }
    const met = faults.take(read, true)
    const skew = met.reduce((sum, one) => (one.kind === 'skew' ? sum + one.ms : sum), 0)
    const exchange: Exchange = { ...read, now: instant(clock.now() + skew) }
    const names = met.map(({ name }) => name)
    const done = (reply: Reply | undefined, answered: boolean): void => record.add(exchange, { reply, answered, faults: names, notes })

    // 1. Faults on the way here: nothing takes effect behind a reset, a silence or a foreign reply.
    await waits(met, 'arrival', response)
    if (has(met, 'reset', 'read')) return done(undefined, false), reset(request)
    if (met.some((one) => one.kind === 'hang' && !one.processed)) return done(undefined, false)
    const instead = met.find((one) => one.kind === 'reply')?.reply
    if (instead) return done(instead, true), send(response, instead)

    // 2. The provider does its work.
    const reply = await handle(exchange)

    // 3. Faults on the way back: what happened has happened.
    await waits(met, 'answer', response)
    if (has(met, 'reset', 'processed')) return done(reply, false), reset(request)
    if (met.some((one) => one.kind === 'hang')) return done(reply, false)
    const changed = await changedReply(reply, met, keys)
    const truncated = met.some((one) => one.kind === 'truncate')
    // The record first: whoever has the answer finds the call in it.
    done(reply, !truncated && !response.destroyed)
    if (truncated) return sendHalf(request, response, changed)
    send(response, changed)
  }

  const { server, ca } = serverOf(options.tls ?? false)
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    serve(request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy()
      else
        send(response, {
          status: 500,
          text: `the emulator failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
        })
    })
  })
  const port = await listen(server, options.port ?? 0)
  const origin = `${options.tls ? 'https' : 'http'}://${options.host ?? 'localhost'}:${port}`
  const ready = Promise.resolve(emulated({ origin, clock }))
  await ready
  const away = async (): Promise<void> => {
    if (!server.listening) return
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }
  return {
    origin,
    port,
    ca,
    clock,
    faults,
    record,
    away,
    back: async () => void (await listen(server, port)),
    stop: async () => {
      await away()
      ;(await ready).keys.release?.()
    },
  }
}

const serverOf = (tls: boolean): { readonly server: Server; readonly ca: string | undefined } => {
  if (!tls) return { server: createHttpServer(), ca: undefined }
  const { certificate, key } = selfSigned()
  return { server: createHttpsServer({ cert: certificate, key }), ca: certificate }
}

const listen = async (server: Server, port: number): Promise<number> => {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const readBody = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

const has = (faults: readonly Fault[], kind: 'reset', at: 'read' | 'processed'): boolean =>
  faults.some((one) => one.kind === kind && one.at === at)

/** Delays and gates; a caller that has gone ends a delay. */
const waits = async (faults: readonly Fault[], at: 'arrival' | 'answer', response: ServerResponse): Promise<void> => {
  for (const one of faults) {
    if (one.kind === 'gate' && one.at === at) await one.pass()
    if (one.kind === 'delay' && at === 'arrival')
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, one.ms)
        response.once('close', () => {
          clearTimeout(timer)
          resolve()
        })
      })
  }
}

/** RST where TCP lets us, so that the client sees a reset and no quiet end. */
const reset = ({ socket }: IncomingMessage): void => {
  if (socket instanceof TLSSocket) socket.destroy()
  else socket.resetAndDestroy()
}

const payloadOf = (reply: Reply): { readonly body: Buffer; readonly headers: Record<string, string | string[]> } => {
  const body = Buffer.from(reply.json === undefined ? (reply.text ?? '') : JSON.stringify(reply.json))
  const own = Object.fromEntries(
    Object.entries(reply.headers ?? {}).map(([name, value]) => [name, typeof value === 'string' ? value : [...value]]),
  )
  return {
    body,
    headers: {
      ...(reply.json !== undefined && { 'content-type': 'application/json; charset=utf-8' }),
      ...own,
      'content-length': String(body.length),
    },
  }
}

const send = (response: ServerResponse, reply: Reply): void => {
  const { body, headers } = payloadOf(reply)
  response.writeHead(reply.status, headers)
  response.end(body)
}

const sendHalf = (request: IncomingMessage, response: ServerResponse, reply: Reply): void => {
  const { body, headers } = payloadOf(reply)
  response.writeHead(reply.status, headers)
  response.write(body.subarray(0, Math.floor(body.length / 2)), () => request.socket.destroy())
}
