import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { AdminCredentials } from '../../src/contract/admin.ts'
import { Browser } from '../harness/browser.ts'
import { createEntraWorld } from '../harness/entra-world.ts'
import { until } from '../harness/processes.ts'
import { startLoad } from '../harness/rotations/load.ts'
import { createMount } from '../harness/rotations/mount.ts'
import { type SelfSigned, selfSigned } from '../harness/self-signed.ts'
import { signIn } from '../harness/world.ts'
import { shell } from '../unit/cli/a-shell.ts'

const DAY = 86_400_000
const root = mkdtempSync(join(tmpdir(), 'sallyport-runbook-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const RUNBOOK = readFileSync(new URL('../../docs/runbooks/rotate-certificate.md', import.meta.url), 'utf8')
/** The `client_auth` that the runbook prints under this heading, with its folder in the place of the one there. */
const clientAuthOf = (heading: string, dir: string): string => {
  const section = RUNBOOK.split(/^## /m).find((part) => part.startsWith(heading)) ?? ''
  const [, block = ''] = /```yaml\nprovider:\n {2}client_auth:((?:.|\n)*?)```/.exec(section) ?? []
  if (block === '') throw new Error(`no client_auth under ${heading}`)
  return block.trimEnd().replaceAll('/run/sallyport/credential', dir)
}
const made = (days: number): SelfSigned => selfSigned({ notBefore: new Date(Date.now() - days * DAY) })
const files = (name: string, { certificate, key }: SelfSigned) => ({ [`${name}.crt`]: certificate, [`${name}.key`]: key })

/** A gateway at Entra with what the runbook says, people who use it, and an operator with a command line. */
const world = async (heading: string, first: Readonly<Record<string, string>>, registered: readonly SelfSigned[]) => {
  const mount = createMount(mkdtempSync(join(root, 'credential-')))
  mount.put(first)
  const gateway = await createEntraWorld({
    entra: { client: { secrets: [] }, accessTokenSeconds: 4, loopAfter: Number.POSITIVE_INFINITY },
    clientAuth: clientAuthOf(heading, mount.dir),
    providerLines: ['  credential_rotation: { spread: 600ms, retry: 100ms, keep_previous: 1s }'],
    lines: ['telemetry: { log: { level: warn } }'],
  })
  const { credentials, clientId } = gateway.entra
  for (const { certificate } of registered) credentials.addCertificate(clientId, certificate)
  const load = await startLoad({
    url: gateway.url,
    calls: { refresh: '/api/customers', application: '/api/orders/application' },
    signIn: (browser) => signIn(browser, gateway.url, 'ada'),
    portOf: () => gateway.gateways[0]?.port,
    replicas: 1,
  })
  const config = join(gateway.folder, 'gateway-0.yaml')
  const cli = (...args: string[]) => shell(['credentials', ...args, '--config', config])
  const status = async () => (JSON.parse((await cli('status', '-o', 'json')).out) as AdminCredentials).credentials
  const says = (thumbprint: string, what: string): Promise<void> =>
    until(
      `status says ${what}`,
      async () => (await status()).some(({ id, state, why }) => id === thumbprint && [state, why].includes(what)),
      30_000,
    )
  return {
    mount,
    cli,
    status,
    says,
    load,
    restart: async () => {
      await gateway.gateways[0]?.stop()
      await gateway.restart(0)
    },
    /** A person who has nothing to do with the others. */
    comesIn: async () => {
      const browser = new Browser()
      await signIn(browser, gateway.url, 'ada')
      return (await browser.fetch(`${gateway.url}/api/customers`)).status
    },
    register: (certificate: string) => void credentials.addCertificate(clientId, certificate, { perFrontEndMs: [0, 900, 300, 600] }),
    remove: ({ thumbprint }: { readonly thumbprint: string }) => credentials.removeCertificate(clientId, thumbprint),
    stop: async () => {
      await load.stop()
      await gateway.stop()
    },
  }
}

describe.concurrent('docs/runbooks/rotate-certificate.md, step by step, with people at work', { timeout: 90_000 }, () => {
  it('by hand', async () => {
    const old = made(100)
    const it = await world('By hand', files('2026', old), [old])
    try {
      // 1 and 2
      expect((await shell(['credentials', 'csr', '--dir', it.mount.dir, '--name', '2027', '--days', '180'])).code).toBe(0)
      await until('it is found', async () => (await it.status()).length === 2, 20_000)
      const next = (await it.status()).find(({ file }) => file === '2027.crt')
      expect(next?.days_left).toBeGreaterThan(178)
      expect((await it.cli('verify', next?.id ?? '')).out).toContain('the provider rejects it: AADSTS700027')
      expect((await it.cli('status')).out.replaceAll(/\s+/g, ' ')).toContain('Certificates & secrets, Certificates: upload the .crt')
      it.register(readFileSync(join(it.mount.dir, '2027.crt'), 'utf8'))
      // 3 and 4
      await it.says(next?.id ?? '', 'active')
      await it.says(old.thumbprint, 'safe-to-remove')
      it.remove(old)
      it.mount.put({ '2026.crt': undefined, '2026.key': undefined })
      await it.load.goesOn(2)
      expect(it.load.failures()).toEqual([])
    } finally {
      await it.stop()
    }
  })

  it('cert-manager, with a pod that starts between the renewal and the registration', async () => {
    const [a, b, renewed] = [made(120), made(60), made(0)]
    const it = await world('cert-manager', { ...files('a', a), ...files('b', b) }, [a, b])
    try {
      await it.says(b.thumbprint, 'active')
      it.mount.put(files('a', renewed))
      await it.says(renewed.thumbprint, 'waits-for-registration')
      await it.load.goesOn(2)
      expect(it.load.failures()).toEqual([])
      await it.load.stop()
      await it.restart()
      expect(await it.comesIn()).toBe(200)
      it.register(renewed.certificate)
      await it.says(renewed.thumbprint, 'active')
      it.remove(a)
      expect(await it.comesIn()).toBe(200)
    } finally {
      await it.stop()
    }
  })

  it('Azure Key Vault, by the CSI driver', async () => {
    const [old, next] = [made(100), made(0)]
    /** As the vault keeps them: key and certificate in one text. */
    const pem = ({ key, certificate }: SelfSigned): string => `${key}${certificate}`
    const it = await world('Azure Key Vault', { 'pair/0': pem(old) }, [old])
    try {
      it.mount.put({ 'pair/0': pem(next), 'pair/1': pem(old) })
      await it.says(next.thumbprint, 'waits-for-registration')
      it.register(next.certificate)
      await it.says(next.thumbprint, 'active')
      it.remove(old)
      await it.load.goesOn(2)
      expect(it.load.failures()).toEqual([])
    } finally {
      await it.stop()
    }
  })
})
