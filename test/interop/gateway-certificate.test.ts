import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from '../harness/browser.ts'
import { until } from '../harness/processes.ts'
import { type SelfSigned, selfSigned } from '../harness/self-signed.ts'
import { keycloak } from './kit.ts'
import { certificateBody, type Representation } from './realm.ts'
import { createKeycloakWorld, type KeycloakWorld, signInAtKeycloak } from './world.ts'

describe.skipIf(!keycloak)('the gateway proves itself to Keycloak with a certificate', { timeout: 60_000 }, () => {
  const [registered, stranger] = [selfSigned(), selfSigned()]
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-interop-'))
  const dir = join(folder, 'credential')
  let world: KeycloakWorld
  beforeAll(async () => {
    mkdirSync(dir)
    writeFileSync(join(dir, 'tls.crt'), registered.certificate)
    writeFileSync(join(dir, 'tls.key'), registered.key, { mode: 0o600 })
    world = await createKeycloakWorld({
      clientAuth: `[{ certificate_dir: '${dir}' }]`,
      client: { authenticator: 'client-jwt', attributes: { 'jwt.credential.certificate': certificateBody(registered.certificate) } },
    })
  })
  afterAll(async () => {
    await world?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const status = async (browser: Browser, path: string): Promise<number> => (await browser.fetch(`${world.url}${path}`)).status
  /** As an administrator does it in the console: one certificate at a time, Keycloak keeps no second. */
  const register = async ({ certificate }: SelfSigned): Promise<void> => {
    const at = `/clients/${world.realm.idOf('sallyport')}`
    const client = (await world.realm.admin('GET', at)) as Representation & { readonly attributes: Readonly<Record<string, string>> }
    await world.realm.admin('PUT', at, {
      ...client,
      attributes: { ...client.attributes, 'jwt.credential.certificate': certificateBody(certificate) },
    })
  }

  it('for the code, for refreshes, for exchanges, for itself and for revocation', async () => {
    const browser = new Browser()
    await signInAtKeycloak(browser, world, 'ada')
    for (const path of ['/api/orders', '/api/customers', '/api/exchanged/orders', '/api/reports'])
      expect(await status(browser, path), path).toBe(200)
    expect((await browser.fetch(`${world.url}/bff/logout`, { method: 'POST' })).status).toBe(200)
    const sessions = `/users/${world.realm.subjects.ada}/sessions`
    await until('Keycloak holds no session', async () => ((await world.realm.admin('GET', sessions)) as unknown[]).length === 0)
  })

  it('while Keycloak knows another certificate nobody is signed out, and all goes on once it knows ours again', async () => {
    const browser = new Browser()
    await signInAtKeycloak(browser, world, 'ada')
    await register(stranger)
    expect(await status(browser, '/api/orders')).toBeGreaterThanOrEqual(500)
    expect(await status(browser, '/bff/user')).toBe(200)
    await register(registered)
    await until('the API answers', async () => (await status(browser, '/api/orders')) === 200, 30_000)
  })
})
