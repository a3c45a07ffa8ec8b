import type { TestProject } from 'vitest/node'
import { startKeycloakServer } from './emulators/keycloak/admin-rest.ts'
// Says what `keycloak` of the provided context is.
import type {} from '../interop/keycloak.setup.ts'

/** Vitest global set-up: what test/interop finds where it looks for a Keycloak is the emulator. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { origin, admin, stop } = await startKeycloakServer()
  project.provide('keycloak', { url: origin, version: 'emulator', admin })
  return stop
}
