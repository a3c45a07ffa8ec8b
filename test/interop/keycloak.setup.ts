import type { TestProject } from 'vitest/node'
import { findKeycloak, KEYCLOAK, NotHereError } from './keycloak-program.ts'
import { type KeycloakPlace, type KeycloakServer, startKeycloak } from './keycloak-server.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** A Keycloak to test against; each test makes realms of its own. `null`: not to be had here. */
    keycloak: KeycloakPlace | null
  }
}

/** Kept thin, and not proven: there was no container runtime where this was written. Its probe then fails within milliseconds. */
const fromContainer = async (): Promise<KeycloakServer | undefined> => {
  const { GenericContainer, getContainerRuntimeClient, Wait } = await import('testcontainers')
  const runtime = await getContainerRuntimeClient().catch(() => undefined)
  if (!runtime) return undefined
  const admin = { username: 'interop', password: 'interop' }
  const container = await new GenericContainer(`quay.io/keycloak/keycloak:${KEYCLOAK.version}`)
    .withCommand(['start-dev', '--db=dev-mem'])
    .withEnvironment({ KC_BOOTSTRAP_ADMIN_USERNAME: admin.username, KC_BOOTSTRAP_ADMIN_PASSWORD: admin.password })
    .withExposedPorts(8080)
    // Back-channel logout and `jwks_url` go from Keycloak to the gateway on this machine's loopback.
    .withNetworkMode('host')
    .withWaitStrategy(Wait.forHttp('/realms/master', 8080).withStartupTimeout(180_000))
    .start()
  const place = { url: 'http://127.0.0.1:8080', version: KEYCLOAK.version, admin }
  return { place, stop: async () => void (await container.stop()) }
}

/** `http://admin:password@127.0.0.1:8080`, of the realm `master`: for working on these tests, which then start within seconds. */
const given = (): KeycloakServer | undefined => {
  const { TEST_KEYCLOAK_URL: text } = process.env
  if (!text) return undefined
  const { origin, username, password } = new URL(text)
  return { place: { url: origin, version: 'unknown', admin: { username, password } }, stop: async () => {} }
}

/** Vitest global set-up: Java and Maven first, then a container. Where neither is, every test is skipped, and that is said. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const missing: string[] = []
  const own = async (): Promise<KeycloakServer | undefined> => {
    try {
      return await startKeycloak(await findKeycloak())
    } catch (error) {
      if (!(error instanceof NotHereError)) throw error
      missing.push(error.message)
      return undefined
    }
  }
  const server = given() ?? (await own()) ?? (await fromContainer())
  project.provide('keycloak', server?.place ?? null)
  if (!server)
    process.stdout.write(
      `[keycloak] NO KEYCLOAK, ALL OF THIS IS SKIPPED: ${missing.join('; ')}; and there is no container runtime. It takes Java 17 and Maven, or Docker.\n`,
    )
  return async () => server?.stop()
}
