import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AdminCredentials } from '../../src/contract/admin.ts'
import { keyIdOf } from '../../src/kernel/key-id.ts'
import { instant } from '../../src/kernel/time.ts'
import { adminHost, type AdminHost } from '../harness/admin-host.ts'
import { settle } from '../harness/clock.ts'
import { credentialSet } from '../harness/credential-set.ts'
import { selfSigned, type SelfSigned } from '../harness/self-signed.ts'

const DAY = 86_400_000
/** The manual clock of credential sets stands here. */
const NOW = instant(Date.UTC(2026, 10, 2, 8))
const pairOf = (days: number): SelfSigned =>
  selfSigned({ kind: 'ec', notBefore: new Date(NOW - days * DAY), notAfter: new Date(NOW + 90 * DAY) })

let host: AdminHost
beforeEach(async () => {
  host = await adminHost()
})
afterEach(() => host.close())

const put = async (name: string, { certificate, key }: Pick<SelfSigned, 'certificate' | 'key'>): Promise<void> => {
  writeFileSync(join(host.pairs, `${name}.crt`), certificate)
  writeFileSync(join(host.pairs, `${name}.key`), key)
  await host.credentials.set.reload()
}
const status = async (): Promise<AdminCredentials> =>
  JSON.parse((await host.cli('credentials', 'status', '-o', 'json')).out) as AdminCredentials
const inUse = async (): Promise<string | undefined> => (await status()).credentials.find(({ state }) => state === 'active')?.id
const events = () => host.events.flatMap((event) => (event.event === 'admin.command' ? [`${event.command} ${event.outcome}`] : []))

describe('sallyport credentials, over the admin socket', () => {
  it('shows what is loaded with its thumbprints as portals show them, and what is wrong with which file; never a secret', async () => {
    const [good, half] = [pairOf(3), pairOf(2)]
    await put('good', good)
    await put('half', { ...half, key: half.key.slice(0, 60) })
    const { code, out } = await host.cli('credentials', 'status')
    expect(code).toBe(1) // a file that is no good is a finding
    expect(out).toContain(good.thumbprint.slice(0, 12))
    expect(out).toContain(Buffer.from(good.thumbprint, 'base64url').toString('hex').toUpperCase())
    expect(out).toMatch(/half\.crt +no PEM private key/)
    expect(out).toContain('client_secret_post')
    // Keycloak knows it by its public key.
    expect(out).toContain(`kid ${keyIdOf(good.publicKey)}`)
    expect(out).toContain('(90 days)')
    expect((await status()).credentials.find(({ id }) => id === good.thumbprint)?.days_left).toBe(90)
    const written = JSON.stringify([out, await status(), host.credentials.lines])
    for (const secret of [good.key.split('\n')[1] ?? '-', 'x'.repeat(32)]) expect(written).not.toContain(secret)
    expect(new Set(events())).toEqual(new Set(['credentials.status ok']))
  })

  it('promotes by a part of the id or of a thumbprint, and withdraws', async () => {
    const [old, next] = [pairOf(9), pairOf(3)]
    await put('old', old)
    await put('next', next)
    expect(await inUse()).toBe(await inUse())
    const by = Buffer.from(next.thumbprint, 'base64url')
      .toString('hex')
      .toUpperCase()
      .replaceAll(/(..)(?=.)/g, '$1:')
      .slice(0, 29)
    expect(await host.cli('credentials', 'promote', by)).toMatchObject({
      code: 0,
      out: 'used from now on, by this replica, the only one\n',
    })
    expect(await inUse()).toBe(next.thumbprint)
    expect(await host.cli('credentials', 'withdraw', next.thumbprint)).toMatchObject({ code: 0 })
    expect(await inUse()).not.toBe(next.thumbprint)
    expect((await status()).credentials.find(({ id }) => id === next.thumbprint)).toMatchObject({ state: 'withdrawn', why: 'withdrawn' })
    expect(events().filter((line) => !line.includes('status'))).toEqual(['credentials.promote done', 'credentials.withdraw done'])
    expect(host.credentials.events).toContainEqual({ event: 'credential.withdrawn', provider: 'default', credential: next.thumbprint })
  })

  // One that has no file for it goes on as before; nobody is told that it does not.
  it('an order to use one holds where its files are, and says so', async () => {
    const next = pairOf(3)
    await put('next', next)
    const { set, board } = host.credentials
    const other = await credentialSet([], { board, replica: 'r2' })
    for (const one of [set, other.set]) one.start(undefined)
    await settle()
    expect(await host.cli('credentials', 'promote', next.thumbprint)).toMatchObject({
      code: 0,
      out: 'used from now on, by those of 2 replicas that have its files\n',
    })
    for (const one of [set, other.set]) await one.stop()
  })

  it('says the next step of each, in the words of the provider’s pages', async () => {
    const next = pairOf(3)
    await put('next', next)
    const nextStep = async ({ thumbprint }: SelfSigned): Promise<string | null | undefined> =>
      (await status()).credentials.find(({ id }) => id === thumbprint)?.next_step
    const { set } = host.credentials
    const [, ...others] = [set.current(), ...set.fallbacks()]
    for (const one of others) set.report(one, { kind: 'rejected', code: 'invalid_client' })
    expect(await nextStep(next)).toMatch(/^register it: the keys of this client/)
    expect((await host.cli('credentials', 'status')).out).toContain('next: register it: the keys of this client')
    expect((await host.cli('credentials', 'status')).out).toContain(
      'the provider said invalid_client at 2026-11-02 08:00Z; it is asked again at',
    )
    await host.cli('credentials', 'promote', next.thumbprint)
    const before = (await status()).credentials.find(({ state }) => state === 'retiring')
    expect(before?.next_step).toBe('leave it registered until 2026-11-03 08:00Z')
    await host.cli('credentials', 'withdraw', next.thumbprint)
    expect(await nextStep(next)).toContain('remove it at the provider, and its files everywhere')
  })

  // Both are rejected, and the one to come was shown as if nothing were to be done about it.
  it('says what to do about one that is rejected while another one is used, and about one that is in use from memory and rejected', async () => {
    const [one, two] = [pairOf(9), pairOf(3)]
    await put('one', one)
    await put('two', two)
    await host.cli('credentials', 'promote', one.thumbprint)
    const { set } = host.credentials
    for (const credential of [set.current(), ...set.fallbacks()])
      if (credential) set.report(credential, { kind: 'rejected', code: 'invalid_client' })
    const of = async ({ thumbprint }: SelfSigned) => (await status()).credentials.find(({ id }) => id === thumbprint)
    expect([(await of(one))?.why, (await of(two))?.why]).toEqual(['in-use-rejected', 'spare'])
    expect((await of(two))?.next_step).toMatch(/^to fall back on it, register it: /)
    rmSync(join(host.pairs, 'one.crt'))
    await set.reload()
    expect((await host.cli('credentials', 'status')).out).toMatch(
      /in use, and the provider rejects it(.|\n)*its files are gone: a restart would lose it/,
    )
    expect((await host.cli('doctor')).out.replaceAll(/\s+/g, ' ')).toContain('its files are gone, and the provider rejects it')
  })

  it('withdraws the last usable one only by force', async () => {
    const [only] = (await status()).credentials
    const id = only?.id ?? ''
    const refused = await host.cli('credentials', 'withdraw', id)
    expect(refused.code).toBe(1)
    expect(refused.err).toContain('credential.last-usable')
    expect(refused.err).toContain('--force')
    expect((await status()).ready).toBe(true)
    expect(await host.cli('credentials', 'withdraw', id, '--force')).toMatchObject({ code: 0 })
    expect(await status()).toMatchObject({ ready: false })
    expect((await host.cli('credentials', 'status')).out).toContain('nothing usable: this replica is not ready')
  })

  it('one that is not valid now is promoted by nobody', async () => {
    const early = selfSigned({ kind: 'ec', notBefore: new Date(NOW + DAY), notAfter: new Date(NOW + 90 * DAY) })
    await put('early', early)
    const before = await inUse()
    expect(await host.cli('credentials', 'promote', early.thumbprint)).toMatchObject({
      code: 1,
      err: expect.stringContaining('credential.not-usable') as string,
    })
    expect(await inUse()).toBe(before)
  })

  it('verify asks and changes nothing; without a probe there is no verdict', async () => {
    const [only] = (await status()).credentials
    expect(await host.cli('credentials', 'verify', only?.id ?? '')).toMatchObject({
      code: 3,
      out: expect.stringMatching(/^no verdict: there is nothing to ask this provider with/) as string,
    })
    host.credentials.set.start(async () => ({ kind: 'rejected', code: 'AADSTS700027' }))
    expect(await host.cli('credentials', 'verify', only?.id ?? '')).toMatchObject({
      code: 1,
      out: 'the provider rejects it: AADSTS700027\n',
    })
    await host.credentials.set.stop()
  })

  it.each([
    ['nobody has', 'A'.repeat(43), 'credential.unknown'],
    ['too short to be meant', 'AAAA', 'give eight characters or more'],
    ['that is a path', '../../sessions', 'give eight characters or more'],
  ])('a name %s is refused', async (_name, name, said) => {
    for (const command of ['verify', 'promote', 'withdraw']) expect((await host.cli('credentials', command, name)).err).toContain(said)
  })
})

describe('sallyport doctor', () => {
  it('says beforehand what a restart would lose: a source with one place, and a credential whose files are gone', async () => {
    const before = await host.cli('doctor')
    expect([before.code, before.out]).toEqual([0, expect.stringMatching(/warn +credential [\w-]{12}: .*a place of its own/)])
    const next = pairOf(3)
    await put('next', next)
    await host.cli('credentials', 'promote', next.thumbprint)
    expect((await host.cli('doctor')).out).toMatch(new RegExp(`ok +credential ${next.thumbprint.slice(0, 12)}`))
    for (const end of ['crt', 'key']) rmSync(join(host.pairs, `next.${end}`))
    await host.credentials.set.reload()
    const after = await host.cli('doctor')
    expect([after.code, after.out]).toEqual([1, expect.stringContaining('a restart would lose it: it is in use, and its files are gone')])
    const { ok, findings } = JSON.parse((await host.cli('doctor', '--output=json')).out) as { ok: boolean; findings: { level: string }[] }
    expect([ok, findings.some(({ level }) => level === 'bad')]).toEqual([false, true])
  })

  it('says what it can where no gateway runs, and that none does', async () => {
    rmSync(host.socket)
    const { code, out } = await host.cli('doctor')
    expect(code).toBe(3)
    expect(out).toContain('gateway: no gateway answers on listen.admin')
    expect(out).toContain('provider.client_auth[0]: holds one credential at a time')
  })
})
