import { readFileSync, writeFileSync } from 'node:fs'
import { request as send } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AdminKeys, AdminSession } from '../../src/contract/admin.ts'
import { instant, minutes } from '../../src/kernel/time.ts'
import { adminHost, type AdminHost } from '../harness/admin-host.ts'
import { expectNoLeak } from '../harness/canary.ts'
import { a } from '../harness/the.ts'
import { shell } from '../unit/cli/a-shell.ts'

let host: AdminHost
beforeEach(async () => {
  host = await adminHost()
})
afterEach(() => host.close())

interface ListedAs {
  readonly sessions: readonly AdminSession[]
  readonly unreadable: number
  readonly complete: boolean
}
const listed = async (...argv: string[]): Promise<ListedAs> => {
  const { code, out, err } = await host.cli('sessions', 'list', ...argv, '-o', 'json')
  expect([code, err]).toEqual([0, ''])
  return JSON.parse(out) as ListedAs
}
const subjects = ({ sessions }: ListedAs): string[] => sessions.map(({ subject }) => subject).sort()
const commands = () => host.events.filter(({ event }) => event === 'admin.command')

/** A raw call, as something else than our own command line may make it. */
const ask = (
  method: string,
  path: string,
  body?: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: string }> =>
  new Promise((resolve, reject) => {
    const outgoing = send({ socketPath: host.socket, method, path, headers, agent: false }, (incoming) => {
      let text = ''
      incoming.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, body: text }))
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
const JSON_BODY = { 'content-type': 'application/json' }

describe('sallyport sessions, over the admin socket', () => {
  it('lists who is signed in, and nothing that opens a session, as text and as JSON', async () => {
    const alice = await host.session()
    const bob = await host.session({ card: { subject: 'bob', tenant: 'contoso', browser: 'Safari on iOS' } })
    const text = await host.cli('sessions', 'list')
    expect(text.out).toContain(alice.ref)
    expect(text.out).toMatch(/alice .*Firefox on Linux/)
    expect(text.out).toMatch(/bob +contoso .*Safari on iOS/)
    expect(text.out).toContain('2 sessions')
    const told = await listed()
    expect(told).toMatchObject({ unreadable: 0, complete: true })
    expect(told.sessions.find(({ ref }) => ref === bob.ref)).toEqual({
      ref: bob.ref,
      subject: 'bob',
      tenant: 'contoso',
      provider: 'default',
      created_at: new Date(bob.card.createdAt).toISOString(),
      last_seen_at: expect.stringMatching(/^\d{4}-.*Z$/) as unknown,
      ends_at: new Date(bob.card.endsAt).toISOString(),
      browser: 'Safari on iOS',
      address: '192.0.2.0/24',
    })
    const shown = await host.cli('sessions', 'show', bob.ref)
    expect(shown).toMatchObject({ code: 0, err: '' })
    expect(shown.out).toMatch(/subject +bob/)
    expectNoLeak(host.secrets, { text: text.out, json: JSON.stringify(told), shown: shown.out, audit: JSON.stringify(host.events) })
  })

  it.each([
    [
      ['--subject', 'alice'],
      ['alice', 'alice'],
    ],
    [
      ['--tenant', 'contoso'],
      ['alice', 'bob'],
    ],
    [['--subject', 'alice', '--tenant', 'contoso'], ['alice']],
    [
      ['--provider', 'default'],
      ['alice', 'alice', 'bob'],
    ],
    [['--provider', 'another'], []],
    [['--subject', 'nobody'], []],
    [['--older-than', '30m'], ['alice']],
  ])('lists by %j', async (argv, expected) => {
    await host.session({ card: { createdAt: instant(host.now() - minutes(45)) } })
    await host.session({ card: { tenant: 'contoso' } })
    await host.session({ card: { subject: 'bob', tenant: 'contoso' } })
    expect(subjects(await listed(...argv))).toEqual(expected)
    expect(commands()).toMatchObject([{ command: 'sessions.list', outcome: 'ok', count: expected.length }])
  })

  it('lists by subject also while the provider has not said who it is yet', async () => {
    await host.session()
    await host.session({ card: { subject: 'bob' } })
    host.broken.provider = true
    expect(subjects(await listed('--subject', 'alice'))).toEqual(['alice'])
  })

  it('shows at most --limit, the newest, and says that there are more', { timeout: 90_000 }, async () => {
    for (let n = 0; n < 620; n += 1) await host.session({ card: { subject: `s${n}` } })
    expect((await listed('--limit', '620')).complete).toBe(true)
    const some = await listed('--limit', '7')
    expect([some.sessions.length, some.complete]).toEqual([7, false])
    expect((await host.cli('sessions', 'list', '--limit', '7')).out).toContain('there are more')
  })

  it('nothing in a name reaches the terminal as a command of its', async () => {
    await host.session({ card: { subject: 'mallory\u001b[2J\u202e' } })
    const { out } = await host.cli('sessions', 'list')
    expect(out).toContain('mallory?[2J?')
    expect([out.includes('\u001b'), out.includes('\u202e')]).toEqual([false, false])
  })

  it('ends one session, which the gateway knows no more, and says so in the audit stream', async () => {
    const [one, other] = [await host.session(), await host.session()]
    expect(await host.cli('sessions', 'end', one.ref)).toEqual({ code: 0, out: 'ended the session\n', err: '' })
    expect(await host.store.open(one.cookie.reveal())).toEqual({ kind: 'ended', reason: 'admin' })
    expect((await host.store.open(other.cookie.reveal())).kind).toBe('found')
    expect(host.events).toMatchObject([
      { event: 'session.ended', reason: 'admin', stored: true, sessionRef: one.ref, subject: 'alice' },
      { event: 'admin.command', command: 'sessions.end', outcome: 'ended', sessionRef: one.ref },
    ])
    expect((await host.cli('sessions', 'end', one.ref)).out).toContain('there is no such session')
    expect(await host.cli('sessions', 'show', one.ref)).toMatchObject({
      code: 1,
      err: 'sallyport: session.unknown: There is no such session.\n',
    })
  })

  it('takes a ref that begins with a hyphen for a ref', async () => {
    const ref = `-${'a'.repeat(21)}`
    expect((await host.cli('sessions', 'end', ref)).code).toBe(0)
    expect((await host.cli('sessions', 'end', ref, '-o', 'json')).out).toBe('{\n  "outcome": "absent"\n}\n')
  })

  it('ends all sessions of a subject and nobody else’s, and a sign-in that was under way as well', async () => {
    const mine = [await host.session(), await host.session(), await host.session()]
    const bobs = await host.session({ card: { subject: 'bob' } })
    expect(await host.cli('sessions', 'end', '--subject', 'alice')).toEqual({ code: 0, out: 'ended 3 sessions\n', err: '' })
    for (const { cookie } of mine) expect((await host.store.open(cookie.reveal())).kind).toBe('ended')
    expect((await host.store.open(bobs.cookie.reveal())).kind).toBe('found')
    expect(await host.store.create(a.draft({ now: host.now() }))).toEqual({ kind: 'ended-meanwhile' })
    expect(commands()).toMatchObject([{ command: 'sessions.end', outcome: 'ended', count: 3, subject: 'alice' }])
    expect(host.events.filter((event) => event.event === 'session.ended' && event.reason === 'admin')).toHaveLength(3)
  })

  it('finds the sessions of a subject also while the provider has not said who it is yet', async () => {
    const mine = await host.session()
    host.broken.provider = true
    expect((await host.cli('sessions', 'end', '--subject', 'alice')).out).toBe('ended 1 session\n')
    expect((await host.store.open(mine.cookie.reveal())).kind).toBe('ended')
  })

  it('ends what is older than a time, by length or by date, and nothing younger', async () => {
    const old = await host.session()
    host.advance(minutes(40))
    const young = await host.session()
    const between = new Date(host.now() - minutes(20)).toISOString()
    expect((await host.cli('sessions', 'end', '--older-than', between, '-o', 'json')).out).toBe('{\n  "ended": 1,\n  "complete": true\n}\n')
    expect((await host.store.open(old.cookie.reveal())).kind).toBe('ended')
    expect((await host.store.open(young.cookie.reveal())).kind).toBe('found')
  })

  it('ends everything only when told so, however many there are', { timeout: 90_000 }, async () => {
    for (let n = 0; n < 1_100; n += 1) await host.session({ card: { subject: `s${n}` } })
    expect(await host.cli('sessions', 'end', '--all')).toEqual({ code: 0, out: 'ended 1100 sessions\n', err: '' })
    expect((await listed()).sessions).toEqual([])
    const ends = commands().filter((event) => event.event === 'admin.command' && event.command === 'sessions.end-all')
    expect(ends.length).toBeGreaterThan(1) // one call does a bounded part of it
  })

  it.each([
    [[], 'say which sessions'],
    [['--all', '--subject', 'alice'], 'say which sessions'],
    [['a'.repeat(22), '--all'], 'say which sessions'],
    [['--subject', ''], 'need a value'],
    [['--older-than', 'yesterday'], '--older-than is a length'],
    [['--older-than', '2026-11-20T10:00:00'], '--older-than is a length'],
    [['canarysecret'], 'that is no REF'],
  ])('refuses %j as wrong usage, ends nothing, and repeats nothing that was typed', async (argv, because) => {
    const session = await host.session()
    const { code, err } = await host.cli('sessions', 'end', ...argv)
    expect([code, err.includes(because), err.includes('canarysecret')]).toEqual([2, true, false])
    expect((await host.store.open(session.cookie.reveal())).kind).toBe('found')
    expect(commands()).toEqual([])
  })
})

describe('when somebody is away', () => {
  it.each([
    ['sessions', 'list'],
    ['sessions', 'show', 'a'.repeat(22)],
    ['sessions', 'end', '--subject', 'alice'],
    ['sessions', 'end', '--all'],
    ['sessions', 'end', 'a'.repeat(22)],
    ['keys', 'status'],
  ])('%s %s %s exits with 3 when the store does not answer, and that is audited', async (...argv) => {
    host.broken.store = true
    const { code, err } = await host.cli(...argv)
    expect(code).toBe(3)
    expect(err).toContain('store does not answer')
    expect(commands()).toMatchObject([{ outcome: 'unavailable' }])
  })

  it('says how many were ended before the store went away', async () => {
    host.broken.store = true
    expect((await host.cli('sessions', 'end', '--all', '-o', 'json')).out).toBe('{\n  "ended": 0,\n  "complete": false\n}\n')
  })

  it.each([
    ['sessions', 'list'],
    ['sessions', 'end', '--all'],
    ['keys', 'status'],
  ])('%s %s %s exits with 3 when no gateway runs, or one that died left its socket behind', async (...argv) => {
    const config = host.config.replace('gateway.yaml', 'other.yaml')
    for (const name of ['nobody.sock', 'secret']) {
      writeFileSync(config, readFileSync(host.config, 'utf8').replace('admin.sock', name))
      const { code, err, out } = await shell([...argv, '--config', config])
      expect([code, out, err.includes('no gateway answers on listen.admin')]).toEqual([3, '', true])
    }
  })

  it('exits with 3 when something answers that is no gateway, or breaks off', async () => {
    const other = createServer((socket) => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello')))
    const path = join(host.socket, '..', 'other.sock')
    await new Promise<void>((resolve) => other.listen(path, resolve))
    const config = host.config.replace('gateway.yaml', 'other.yaml')
    writeFileSync(config, readFileSync(host.config, 'utf8').replace('admin.sock', 'other.sock'))
    expect(await shell(['sessions', 'list', '--config', config])).toMatchObject({ code: 3, out: '' })
    other.close()
  })
})

describe('the admin listener itself', () => {
  it.each([
    ['GET', '/admin/sessions?subjct=alice', undefined],
    ['GET', '/admin/sessions?subject=alice&subject=bob', undefined],
    ['GET', '/admin/sessions?subject=', undefined],
    ['GET', '/admin/sessions?limit=0', undefined],
    ['GET', '/admin/sessions?limit=100000', undefined],
    ['GET', '/admin/sessions?cursor=x', undefined],
    ['GET', '/admin/sessions?created_before=yesterday', undefined],
    ['GET', '/admin/sessions/..%2fkeys', undefined],
    ['POST', '/admin/sessions/end', '{}'],
    ['POST', '/admin/sessions/end', '[]'],
    ['POST', '/admin/sessions/end', '{"all":false}'],
    ['POST', '/admin/sessions/end', '{"all":true,"subject":"alice"}'],
    ['POST', '/admin/sessions/end', '{"subject":""}'],
    ['POST', '/admin/sessions/end', '{"subject":["alice"]}'],
    ['POST', '/admin/sessions/end', '{"sub":"alice"}'],
    ['POST', '/admin/sessions/end', '{"__proto__":{"all":true}}'],
    ['POST', '/admin/sessions/end', 'not json'],
  ])('refuses %s %s %s with 400: a filter that is not understood never means everything', async (method, path, body) => {
    const session = await host.session()
    expect((await ask(method, path, body, body === undefined ? {} : JSON_BODY)).status).toBe(400)
    expect((await host.store.open(session.cookie.reveal())).kind).toBe('found')
  })

  it('takes no command from a browser', async () => {
    const session = await host.session()
    for (const header of [{ origin: 'http://localhost' }, { 'sec-fetch-site': 'same-origin' }])
      expect((await ask('POST', '/admin/sessions/end', '{"all":true}', { ...JSON_BODY, ...header })).status).toBe(403)
    expect((await host.store.open(session.cookie.reveal())).kind).toBe('found')
  })
})

describe('sallyport keys status', () => {
  it('tells which key seals, and until when sessions need it', async () => {
    const session = await host.session()
    const { code, out } = await host.cli('keys', 'status', '-o', 'json')
    const told = JSON.parse(out) as AdminKeys
    expect([code, told.settle_ms, told.absent]).toEqual([0, 300_000, []])
    expect(told.keys).toMatchObject([{ state: 'seals', may_go_from: null }])
    const until = Date.parse(told.keys[0]?.needed_until ?? '')
    expect([until >= session.card.endsAt, until < session.card.endsAt + 60_000]).toEqual([true, true])
    expect((await host.cli('keys', 'status')).out).toMatch(/seals and opens .* no\n/)
  })
})
