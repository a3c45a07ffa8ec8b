import { mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AuditEvent } from '../../../src/domain/audit-event.ts'
import type { SessionRef } from '../../../src/domain/session.ts'
import type { Facts, Log } from '../../../src/kernel/ports.ts'
import { instant } from '../../../src/kernel/time.ts'
import { asciiJson } from '../../../src/telemetry/line.ts'
import { auditLine, createAuditSink } from '../../../src/telemetry/audit-sink.ts'

const NOON = instant(Date.UTC(2026, 10, 20, 12))
const clock = { now: () => NOON }
const CANARY = 'canary-5f2c9e'
const who = { requestId: 'r1', sessionRef: 'ref' as SessionRef, provider: 'default', subject: 'ada', tenant: 't', address: '10.1.2.3' }

const EVENTS: readonly AuditEvent[] = [
  { ...who, event: 'sign-in.started' },
  { ...who, event: 'sign-in.succeeded', replaced: 'old' as SessionRef },
  { ...who, event: 'sign-in.failed', code: 'login.refused', check: 'nonce', providerCode: 'access_denied' },
  { ...who, event: 'session.ended', reason: 'user', stored: true },
  { ...who, event: 'session.refreshed', audience: 'orders' },
  { ...who, event: 'token.issued', principal: 'user', grant: 'refresh', audience: 'orders' },
  {
    ...who,
    event: 'token.failed',
    principal: 'app',
    grant: 'client_credentials',
    audience: 'a',
    code: 'c',
    check: 'aud',
    providerCode: 'p',
  },
  { ...who, event: 'token.revoked', outcome: 'revoked' },
  { ...who, event: 'access.allowed', route: 'orders', principal: 'app' },
  { ...who, event: 'access.denied', route: 'orders', principal: 'user', code: 'policy.denied', rule: 'role' },
  { ...who, event: 'csrf.refused', route: 'orders', code: 'csrf.cross-site' },
  { ...who, event: 'admin.command', command: 'sessions end', outcome: 'ended' },
  { ...who, event: 'config.loaded', version: '1' },
  { ...who, event: 'key.removed', kid: 'k' },
  { ...who, event: 'key.activated', kid: 'k' },
]

describe('an audit line', () => {
  it.each(EVENTS)('of $event says all that the event says, after schema and time', (event) => {
    expect(JSON.parse(auditLine(event, NOON))).toEqual({ schema: 'sallyport.audit/1', time: '2026-11-20T12:00:00.000Z', ...event })
  })

  it.each(EVENTS)('of $event lets nothing pass that is not on its list', (event) => {
    const strangers = {
      accessToken: CANARY,
      refresh_token: CANARY,
      claims: { a: CANARY },
      err: new Error(CANARY),
      code_: CANARY,
      schema: CANARY,
      time: CANARY,
      toJSON: () => CANARY,
    }
    const smuggling = { ...event, ...strangers } as AuditEvent
    expect(auditLine(smuggling, NOON)).toBe(auditLine(event, NOON))
  })

  it('drops a value that is no text, and what another event may say', () => {
    const odd: Record<string, unknown> = { event: 'token.revoked', outcome: { token: CANARY }, subject: [CANARY], tenant: 7, kid: CANARY }
    expect(JSON.parse(auditLine(odd as unknown as AuditEvent, NOON))).toEqual({
      schema: 'sallyport.audit/1',
      time: '2026-11-20T12:00:00.000Z',
      event: 'token.revoked',
    })
  })

  it('cannot be forged: it stays one line of ASCII, whatever a provider calls its subject', () => {
    const subject = `ada"}\r\n{"schema":"sallyport.audit/1","event":"key.removed"}\u2028\u2029\u0085\u202e`
    const line = asciiJson(auditLine({ event: 'sign-in.started', subject }, NOON))
    expect(line).toMatch(/^[\x20-\x7e]*\n$/)
    expect(JSON.parse(line)).toMatchObject({ event: 'sign-in.started', subject })
  })
})

describe('the sink', () => {
  let dir: string
  let lines: { level: string; facts: Facts; message: string }[]
  let lost: number
  const log: Log = {
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: (facts, message) => lines.push({ level: 'error', facts, message }),
  }
  const metrics = {
    count: (name: string) => {
      if (name === 'sallyport_audit_lost_events_total') lost += 1
    },
  }
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-audit-'))
    lines = []
    lost = 0
  })
  afterEach(async () => rm(dir, { recursive: true, force: true }))
  const eventsIn = async (file: string): Promise<string[]> =>
    (await readFile(file, 'utf8'))
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line).event)

  it('writes into the stream of the log when told so', () => {
    const written: string[] = []
    const sink = createAuditSink({ to: { kind: 'stdout', write: (line) => written.push(line) }, clock, log, metrics })
    sink.record({ event: 'sign-in.started' })
    expect(written).toEqual([auditLine({ event: 'sign-in.started' }, NOON)])
  })

  it('appends to what the file has, readable by owner and group only', async () => {
    const file = join(dir, 'audit.log')
    for (let run = 0; run < 2; run += 1) {
      const sink = createAuditSink({ to: { kind: 'file', file }, clock, log, metrics })
      for (const event of EVENTS) sink.record(event)
      await sink.close()
    }
    expect(await eventsIn(file)).toEqual([...EVENTS, ...EVENTS].map((event) => event.event))
    expect((await stat(file)).mode & 0o007).toBe(0)
  })

  it('goes on in a new file after the old one was moved away, and loses nothing', async () => {
    const file = join(dir, 'audit.log')
    const sink = createAuditSink({ to: { kind: 'file', file }, clock, log, metrics })
    sink.record({ event: 'sign-in.started' })
    await rename(file, `${file}.1`)
    sink.record({ event: 'token.revoked', outcome: 'revoked' })
    const reopened = sink.reopen()
    sink.record({ event: 'key.removed', kid: 'k' })
    await reopened
    await sink.close()
    expect(await eventsIn(`${file}.1`)).toEqual(['sign-in.started', 'token.revoked'])
    expect(await eventsIn(file)).toEqual(['key.removed'])
  })

  it('stays with the old file when the new one cannot be opened', async () => {
    const file = join(dir, 'audit.log')
    const sink = createAuditSink({ to: { kind: 'file', file }, clock, log, metrics })
    await rename(dir, `${dir}.moved`)
    await sink.reopen()
    sink.record({ event: 'sign-in.started' })
    await sink.close()
    expect(await eventsIn(`${dir}.moved/audit.log`)).toEqual(['sign-in.started'])
    expect(lines).toEqual([{ level: 'error', facts: { file }, message: 'audit file cannot be reopened, the old one stays' }])
    await rm(`${dir}.moved`, { recursive: true })
  })

  it('at exit writes what it holds', async () => {
    const file = join(dir, 'audit.log')
    const sink = createAuditSink({ to: { kind: 'file', file }, clock, log, metrics })
    sink.record({ event: 'sign-in.started' })
    sink.flushSync()
    expect(await eventsIn(file)).toEqual(['sign-in.started'])
    await sink.close()
  })

  it('counts each lost event and says once that they are lost, without throwing', async () => {
    const sink = createAuditSink({ to: { kind: 'file', file: '/dev/full' }, clock, log, metrics })
    for (let n = 0; n < 10; n += 1) sink.record({ event: 'sign-in.started' })
    await sink.close()
    expect(lost).toBe(10)
    expect(lines).toHaveLength(1)
    expect(lines[0]?.message).toBe('audit events lost, the file cannot be written')
  })

  it('does not start on a file it cannot open', () => {
    expect(() => createAuditSink({ to: { kind: 'file', file: join(dir, 'no', 'audit.log') }, clock, log, metrics })).toThrow(
      'telemetry.audit.file cannot be opened for appending',
    )
  })
})
