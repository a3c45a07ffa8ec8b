import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { keyIdOf } from '../../src/kernel/key-id.ts'
import { Browser } from '../harness/browser.ts'
import { auditOf, until } from '../harness/processes.ts'
import { type SelfSigned, selfSigned } from '../harness/self-signed.ts'
import { keycloak } from './kit.ts'
import { certificateBody, type Representation } from './realm.ts'
import { createKeycloakWorld, type KeycloakWorld, signInAtKeycloak } from './world.ts'

/** Tokens live so short that every round of the load below asks Keycloak for new ones. */
const SHORT_LIVED = { accessTokenLifespan: 4 }
const QUICK = ['  credential_rotation: { acceptances: 2, spread: 1s, retry: 500ms }']
const CLIENT_KEYS = '/.well-known/sallyport/client-jwks.json'

describe.skipIf(!keycloak)('a client certificate is replaced while people work', { timeout: 120_000 }, () => {
  const [old, young] = [selfSigned(), selfSigned()]
  let dir: string
  let world: KeycloakWorld
  let load: Load
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'sallyport-interop-'))
    put('2026', old)
  })
  afterEach(async () => {
    await load?.stop()
    await world?.stop()
    rmSync(dir, { recursive: true, force: true })
  })

  const put = (name: string, pair: SelfSigned): void => {
    writeFileSync(join(dir, `${name}.key`), pair.key, { mode: 0o600 })
    writeFileSync(join(dir, `${name}.tmp`), pair.certificate)
    renameSync(join(dir, `${name}.tmp`), join(dir, `${name}.crt`))
  }
  const take = (name: string): void => {
    for (const kind of ['crt', 'key']) rmSync(join(dir, `${name}.${kind}`))
  }
  const activated = (pair: SelfSigned): Promise<void> =>
    until(
      'the gateway uses it',
      () => auditOf(world.gateways[0]).some((line) => line.event === 'credential.activated' && line['credential'] === pair.thumbprint),
      60_000,
    )

  it('registered at Keycloak, which keeps one certificate: file first, then the registration', async () => {
    world = await createKeycloakWorld({
      settings: SHORT_LIVED,
      providerLines: QUICK,
      clientAuth: `[{ certificate_dir: '${dir}' }]`,
      client: { authenticator: 'client-jwt', attributes: { 'jwt.credential.certificate': certificateBody(old.certificate) } },
    })
    load = startLoad(world)
    await load.rounds(2)
    put('2027', young)
    await load.rounds(3) // it is tried and refused meanwhile
    const at = `/clients/${world.realm.idOf('sallyport')}`
    const client = (await world.realm.admin('GET', at)) as Representation & { readonly attributes: Readonly<Record<string, string>> }
    const attributes = { ...client.attributes, 'jwt.credential.certificate': certificateBody(young.certificate) }
    await world.realm.admin('PUT', at, { ...client, attributes })
    await load.rounds(2) // from here on the old one is refused
    await activated(young)
    take('2026')
    await load.rounds(3)
    expect(load.failures).toEqual([])
  })

  it('pulled by Keycloak from the gateway’s own document: nobody does anything there', async () => {
    world = await createKeycloakWorld({
      settings: SHORT_LIVED,
      providerLines: QUICK,
      clientAuth: `[{ certificate_dir: '${dir}' }]`,
      client: {
        authenticator: 'client-jwt',
        attributesOf: (url) => ({ 'use.jwks.url': 'true', 'jwks.url': `${url}${CLIENT_KEYS}` }),
      },
    })
    const kids = async (): Promise<unknown[]> => {
      const { keys } = (await (await fetch(`${world.url}${CLIENT_KEYS}`)).json()) as { readonly keys: readonly { readonly kid: string }[] }
      return keys.map(({ kid }) => kid)
    }
    load = startLoad(world)
    await load.rounds(2)
    expect(await kids()).toEqual([keyIdOf(old.publicKey)])
    put('2027', young)
    await until('both are published', async () => (await kids()).includes(keyIdOf(young.publicKey)), 20_000)
    // Keycloak asks for the document again ten seconds after it last did, and the gateway tries until then.
    await activated(young)
    await load.rounds(2)
    take('2026')
    await load.rounds(3)
    expect(await kids()).toContain(keyIdOf(young.publicKey))
    expect(load.failures).toEqual([])
  })
})

interface Load {
  readonly failures: string[]
  /** Waits for so many more rounds to end. */
  rounds(count: number): Promise<void>
  stop(): Promise<void>
}

/** A person who signs in anew in each round and one who stays, each calling as themselves, by exchange and as the application. */
const startLoad = (world: KeycloakWorld): Load => {
  const failures: string[] = []
  const staying = new Browser()
  let round = 0
  let isOver = false
  const call = async (browser: Browser, who: string, path: string): Promise<void> => {
    const { status } = await browser.fetch(`${world.url}${path}`)
    if (status !== 200) failures.push(`round ${round}: ${who} ${path} ${status}`)
  }
  const run = async (): Promise<void> => {
    await signInAtKeycloak(staying, world, 'grace')
    while (!isOver) {
      const coming = new Browser()
      await signInAtKeycloak(coming, world, 'ada')
      for (const path of ['/api/orders', '/api/exchanged/customers', '/api/reports'])
        await Promise.all([call(staying, 'grace', path), call(coming, 'ada', path)])
      round += 1
      await wait(1_500)
    }
  }
  const running = run().catch((error: unknown) => void failures.push(`round ${round}: ${String(error)}`))
  return {
    failures,
    rounds: async (count) => {
      const goal = round + count
      await until(`${count} rounds`, () => round >= goal || failures.length > 0, 60_000)
    },
    stop: async () => {
      isOver = true
      await running
    },
  }
}
