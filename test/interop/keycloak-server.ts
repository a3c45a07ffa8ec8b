import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { freePort } from '../harness/free-port.ts'
import { mortal } from '../harness/redis-server.ts'
import { KEYCLOAK } from './keycloak-program.ts'

/** Where Keycloak is, and who may change it. Handed to the workers as it is: plain values. */
export interface KeycloakPlace {
  readonly url: string
  readonly version: string
  readonly admin: { readonly username: string; readonly password: string }
}
export interface KeycloakServer {
  readonly place: KeycloakPlace
  stop(): Promise<void>
}

const READY_WITHIN_MS = 180_000
/** A developer's Keycloak takes 600 MB at rest; more heap would not make these tests faster. */
const HEAP = '-Xms64m -Xmx512m'

/** `kc.sh start-dev` on loopback, its database in memory: each run starts from nothing and leaves nothing. */
export const startKeycloak = async (home: string): Promise<KeycloakServer> => {
  const port = await freePort()
  const admin = { username: 'interop', password: randomBytes(24).toString('base64url') }
  const place = { url: `http://127.0.0.1:${port}`, version: KEYCLOAK.version, admin }
  const startedAt = performance.now()
  // `kc.sh` ends in `exec java`: the child stays one process under one id, which is what is ended at the end.
  const child = mortal(
    spawn('bash', [`${home}/bin/kc.sh`, 'start-dev', '--db=dev-mem', '--http-host=127.0.0.1', `--http-port=${port}`], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: process.env['HOME'] ?? '',
        ...(process.env['JAVA_HOME'] && { JAVA_HOME: process.env['JAVA_HOME'] }),
        JAVA_OPTS_KC_HEAP: HEAP,
        KC_BOOTSTRAP_ADMIN_USERNAME: admin.username,
        KC_BOOTSTRAP_ADMIN_PASSWORD: admin.password,
      },
    }),
  )
  let written = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      written = `${written}${chunk.toString('utf8')}`.slice(-8_000)
    })
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), 15_000)
    await gone
    clearTimeout(late)
  }
  for (const until = Date.now() + READY_WITHIN_MS; ; await wait(250)) {
    if (child.exitCode !== null) throw new Error(`Keycloak ended with ${child.exitCode}:\n${written}`)
    const answer = await fetch(`${place.url}/realms/master/.well-known/openid-configuration`).catch(() => undefined)
    if (answer?.ok) break
    if (Date.now() < until) continue
    await stop()
    throw new Error(`Keycloak was not ready in ${READY_WITHIN_MS / 1000} s:\n${written}`)
  }
  process.stdout.write(`[keycloak] ${KEYCLOAK.version} answers after ${((performance.now() - startedAt) / 1000).toFixed(0)} s\n`)
  return { place, stop }
}
