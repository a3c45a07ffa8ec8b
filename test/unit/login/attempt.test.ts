import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { attemptCookieJar } from '../../../src/login/attempt-cookie.ts'
import { openState, sealState } from '../../../src/login/attempt.ts'
import { createAttempts } from '../../../src/login/attempts.ts'
import type { AttemptState } from '../../../src/domain/login-attempt.ts'
import type { Sealer, Unsealed } from '../../../src/domain/sealer.ts'
import type { SessionRef } from '../../../src/domain/session.ts'
import { createSealer } from '../../../src/crypto/seal.ts'
import { ephemeralKeyring } from '../../../src/crypto/keyring.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import { after, instant, minutes, seconds } from '../../../src/kernel/time.ts'
import { pairOf } from '../../harness/set-cookie.ts'

const NOON = instant(Date.UTC(2026, 10, 20, 12))
const sealer = createSealer({ keyring: ephemeralKeyring(NOON) })
const here = { app: 'default', provider: 'default' }
const newId = (): string => randomBytes(16).toString('base64url')
const random = (): string => randomBytes(32).toString('base64url')

const aState = (change: Partial<AttemptState> = {}): AttemptState => ({
  id: newId(),
  ...here,
  startedAt: NOON,
  returnTo: '/orders?id=7#top',
  resumed: false,
  silent: false,
  replaces: undefined,
  expectSubject: undefined,
  maxAgeSeconds: undefined,
  acrValues: [],
  ...change,
})
const answering = (unsealed: Unsealed): Sealer => ({ ...sealer, open: () => unsealed })

describe('state', () => {
  it.each([
    aState(),
    aState({ resumed: true, replaces: 'A'.repeat(22) as SessionRef, expectSubject: 'sub|ü', maxAgeSeconds: 0, acrValues: ['a', 'b'] }),
  ])('comes back from the provider as it left', (state) => {
    expect(openState(sealer, sealState(sealer, state).reveal(), here, NOON)).toEqual({ kind: 'opened', state })
  })

  it('shows nothing of the attempt on its way, and is never the same twice', () => {
    const state = aState({ returnTo: '/canary', expectSubject: 'canary' })
    const [a, b] = [sealState(sealer, state).reveal(), sealState(sealer, state).reveal()]
    expect(a).not.toBe(b)
    expect(a).toMatch(/^[\w.~-]+$/) // needs no encoding in a URL
    expect(a + Buffer.from(a.split('.')[2] ?? '', 'base64url').toString('latin1')).not.toContain('canary')
  })

  it.each`
    ms         | kind
    ${0}       | ${'opened'}
    ${599_999} | ${'opened'}
    ${600_000} | ${'expired'}
    ${-30_000} | ${'opened'}
  `('after $ms ms is $kind', ({ ms, kind }) => {
    const state = aState()
    expect(openState(sealer, sealState(sealer, state).reveal(), here, after(NOON, ms))).toEqual({ kind, state })
  })

  it.each`
    app          | provider
    ${'other'}   | ${'default'}
    ${'default'} | ${'other'}
  `('made for another place does not open at app $app, provider $provider', (at) => {
    expect(openState(sealer, sealState(sealer, aState()).reveal(), at, NOON)).toEqual({ kind: 'invalid' })
  })

  it('is not an attempt cookie, nor an attempt cookie a state', () => {
    const sealed = sealer.seal('attempt', ['default', 'default'], JSON.stringify({ v: 1, ...aState() }))
    expect(openState(sealer, sealed, here, NOON)).toEqual({ kind: 'invalid' })
  })

  it.each(['', 'x', '1..', 'A'.repeat(5000), `1.20200101T120000Z-aaaaaa.${'A'.repeat(100)}`])('%j is no state of ours', (text) => {
    expect(openState(sealer, text, here, NOON).kind).toBe('invalid')
  })

  it.each`
    unsealed                               | kind
    ${{ kind: 'key-unknown' }}             | ${'key-unknown'}
    ${{ kind: 'key-removed' }}             | ${'invalid'}
    ${{ kind: 'invalid' }}                 | ${'invalid'}
    ${{ kind: 'opened', text: '{"v":2}' }} | ${'invalid'}
    ${{ kind: 'opened', text: '{"v":1}' }} | ${'invalid'}
    ${{ kind: 'opened', text: 'null' }}    | ${'invalid'}
  `('that unseals as $unsealed is $kind', ({ unsealed, kind }) => {
    expect(openState(answering(unsealed), 'any', here, NOON).kind).toBe(kind)
  })

  it('never outgrows 4096 characters: the return-to gives way', () => {
    const longest = `/${'a'.repeat(1023)}`
    const usual = sealState(sealer, aState({ returnTo: longest, replaces: 'A'.repeat(22) as SessionRef, expectSubject: 's'.repeat(255) }))
    expect(usual.reveal().length).toBeLessThan(2600)
    const long = sealState(sealer, aState({ returnTo: longest, acrValues: ['urn:x'.repeat(400)] }))
    expect(long.reveal().length).toBeLessThanOrEqual(4096)
    expect(openState(sealer, long.reveal(), here, NOON)).toMatchObject({ kind: 'opened', state: { returnTo: '/' } })
  })
})

describe("an attempt's cookie", () => {
  const jar = attemptCookieJar({ sealer, app: 'default', publicUrl: new URL('https://shop.example.com') })
  const secretsOf = (id = newId()) => ({ id, nonce: Secret.of('nonce', random()), verifier: Secret.of('code-verifier', random()) })

  it('brings nonce and verifier back to the browser that started', () => {
    const secrets = secretsOf()
    const [set] = jar.issue(secrets, undefined, NOON)
    const back = jar.read(`a=1; ${pairOf(set)}; b=2`, secrets.id)
    expect(back?.nonce.equals(secrets.nonce)).toBe(true)
    expect(back?.verifier.equals(secrets.verifier)).toBe(true)
    expect(pairOf(set)).not.toContain(secrets.nonce.reveal())
    expect(pairOf(set)).not.toContain(secrets.verifier.reveal())
  })

  it('has the attributes that let it come back on the redirect, once, for ten minutes', () => {
    const [set] = jar.issue(secretsOf(), undefined, NOON)
    expect(set).toMatchObject({ sameSite: 'lax', maxAgeSeconds: 600 })
    expect(pairOf(set)).toMatch(/^__Host-Http-sallyport-login-[\w-]{22}=[\w.-]+$/)
    const id = newId()
    expect(jar.clear(id)).toEqual({ name: `__Host-Http-sallyport-login-${id}`, value: undefined, sameSite: 'lax', maxAgeSeconds: 0 })
  })

  it('stays within 250 bytes, the longest port included', () => {
    const local = attemptCookieJar({ sealer, app: 'default', publicUrl: new URL('http://localhost:65535') })
    const pair = pairOf(local.issue(secretsOf(), undefined, instant(Date.UTC(4000, 0)))[0])
    expect(pair).toMatch(/^__Host-Http-sallyport-65535-login-/)
    expect(pair.length).toBeLessThanOrEqual(250)
  })

  it.each`
    change                                                       | because
    ${(pair: string) => `${pair}; ${pair}`}                      | ${'it came twice'}
    ${(pair: string) => `x${pair}`}                              | ${'the name is another one'}
    ${(pair: string) => pair.toLowerCase()}                      | ${'the case is another one'}
    ${(pair: string) => `\u00a0${pair}`}                         | ${'NBSP is no blank'}
    ${(pair: string) => pair.replace(/=.......\./, '=0000000.')} | ${'the stamp was changed'}
    ${(pair: string) => pair.replace(/=.......\./, '=')}         | ${'the stamp is gone'}
    ${(pair: string) => pair.slice(0, -1)}                       | ${'it was cut'}
    ${(pair: string) => pair.replace('=', '="')}                 | ${'quotes belong to the value'}
    ${(pair: string) => pair.slice(0, pair.indexOf('=') + 1)}    | ${'it is empty'}
    ${() => undefined}                                           | ${'there is no cookie: another browser was given the link'}
  `('yields nothing when $because', ({ change }) => {
    const secrets = secretsOf()
    expect(jar.read(change(pairOf(jar.issue(secrets, undefined, NOON)[0])), secrets.id)).toBeUndefined()
  })

  it('of one attempt does not open as that of another, or at another app', () => {
    const [mine, other] = [secretsOf(), secretsOf()]
    const moved = pairOf(jar.issue(mine, undefined, NOON)[0]).replace(mine.id, other.id)
    expect(jar.read(moved, other.id)).toBeUndefined()
    const elsewhere = attemptCookieJar({ sealer, app: 'other', publicUrl: new URL('https://shop.example.com') })
    expect(elsewhere.read(pairOf(jar.issue(mine, undefined, NOON)[0]), mine.id)).toBeUndefined()
  })

  it.each(['', '../..', 'a'.repeat(22), `${'A'.repeat(21)}B`, `${'A'.repeat(22)}=`])('is not looked for under the id %j', (id) => {
    expect(jar.read(`__Host-Http-sallyport-login-${id}=x`, id)).toBeUndefined()
  })

  it('is one of at most five: 60 abandoned attempts leave the newest five, whatever the order they are sent in', () => {
    const present = new Map<string, string>()
    const ids: string[] = []
    for (let n = 0; n < 60; n += 1) {
      const secrets = secretsOf()
      ids.push(secrets.id)
      const header = [...present.values()].sort().join('; ')
      for (const cookie of jar.issue(secrets, header === '' ? undefined : header, after(NOON, seconds(n)))) {
        const id = cookie.name.slice(-22)
        if (cookie.maxAgeSeconds === 0) present.delete(id)
        else present.set(id, pairOf(cookie))
      }
      expect(present.size).toBeLessThanOrEqual(5)
    }
    expect(new Set(present.keys())).toEqual(new Set(ids.slice(-5)))
  })

  it('clears first what carries no stamp, and leaves other cookies alone', () => {
    const attempts = Array.from({ length: 4 }, (_, n) => pairOf(jar.issue(secretsOf(), undefined, after(NOON, seconds(n)))[0]))
    const odd = newId()
    const header = [
      `__Host-Http-sallyport-login-${odd}=odd`,
      '__Host-Http-sallyport-login-x=1',
      '__Host-Http-sallyport=s',
      ...attempts,
    ].join(';')
    const lines = jar.issue(secretsOf(), header, NOON)
    expect(lines.slice(0, -1)).toEqual([jar.clear(odd)])
  })

  it('counts a doubled attempt once', () => {
    const one = pairOf(jar.issue(secretsOf(), undefined, NOON)[0])
    expect(jar.issue(secretsOf(), Array(9).fill(one).join('; '), NOON)).toHaveLength(1)
  })
})

it('reads time from its clock, so that a state ends after ten minutes', async () => {
  let now = NOON
  const attempts = createAttempts({
    ...here,
    sealer,
    publicUrl: new URL('https://shop.example.com'),
    clock: { now: () => now, sleep: async () => {} },
  })
  const text = attempts.sealState(aState()).reveal()
  expect(attempts.openState(text).kind).toBe('opened')
  now = after(NOON, minutes(10))
  expect(attempts.openState(text).kind).toBe('expired')
  const id = newId()
  const [set] = attempts.issue({ id, nonce: Secret.of('nonce', random()), verifier: Secret.of('code-verifier', random()) }, undefined)
  expect(attempts.read(pairOf(set), id)?.id).toBe(id)
  expect(attempts.clear(id).maxAgeSeconds).toBe(0)
})
