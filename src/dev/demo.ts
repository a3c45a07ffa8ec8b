import { randomBytes, randomInt } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { start } from '../assembly/start.ts'
import { loadSettings } from '../config/load.ts'
import { RESOURCES, startDemoApis } from './apis.ts'
import { startDemoControls } from './controls.ts'
import { startDevProvider } from './provider.ts'

const CLIENT_ID = 'sallyport-demo'
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

export interface Demo {
  readonly url: string
  stop(): Promise<void>
  /** Resolves when the gateway has stopped, by a signal or by `stop`. */
  readonly stopped: Promise<void>
}

/**
 * The real gateway, configured by demo.yaml as any other, between a browser on localhost and an embedded provider and three APIs on 127.0.0.1.
 * Everything lives in this process and ends with it.
 */
export const startDemo = async (options: { readonly port: number; readonly accessTokenSeconds: number }): Promise<Demo> => {
  const held = await holdPort(options.port)
  const { port } = held
  const url = `http://localhost:${port}`
  const clientSecret = randomBytes(32).toString('base64url')
  const provider = await startDevProvider({
    port: 0,
    clientId: CLIENT_ID,
    clientSecret,
    redirectUri: `${url}/bff/callback`,
    postLogoutRedirectUri: `${url}/bff/logout/callback`,
    backchannelLogoutUri: `${url}/bff/logout/backchannel`,
    resources: RESOURCES,
    accessTokenSeconds: options.accessTokenSeconds,
  })
  const apis = await startDemoApis({ issuer: provider.issuer, clientId: CLIENT_ID })
  const controls = await startDemoControls({ apis, provider, accessTokenSeconds: options.accessTokenSeconds })
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-demo-'))
  const loaded = loadSettings({
    file: here('./demo.yaml'),
    text: readFileSync(here('./demo.yaml'), 'utf8'),
    env: {
      DEMO_PORT: String(port),
      DEMO_ISSUER: provider.issuer,
      DEMO_CLIENT_SECRET: clientSecret,
      DEMO_ORDERS: apis.orders.url,
      DEMO_CUSTOMERS: apis.customers.url,
      DEMO_INVENTORY: apis.inventory.url,
      DEMO_CONTROLS: controls.url,
      DEMO_FRONTEND: here('./frontend'),
      DEMO_FOLDER: folder,
    },
  })
  if (loaded.kind === 'refused') throw new Error(`the demo's configuration was refused: ${loaded.findings.map((f) => f.code).join(', ')}`)
  await held.release()
  const gateway = await start(loaded.settings, { version: 'demo' })
  const stop = async (): Promise<void> => {
    await gateway.stop()
    await Promise.all([provider, apis.orders, apis.customers, apis.inventory, controls].map((part) => part.stop()))
    rmSync(folder, { recursive: true, force: true })
  }
  return { url, stop, stopped: gateway.stopped }
}

/** Where no outgoing connection and no other program's "any port" lands (on Linux those begin at 32768). */
const anyPort = (): number => randomInt(10_000, 32_000)

/**
 * The wished port if it is free, else any: a demo should not fail because something else listens on 8080. Held until the gateway takes it: the provider
 * has to know the address before the gateway listens, and none of the parts that start in between may be given the same one.
 */
const holdPort = async (wished: number): Promise<{ readonly port: number; release(): Promise<void> }> => {
  for (let tried = 0; tried < 50; tried += 1) {
    const port = tried === 0 && wished !== 0 ? wished : anyPort()
    const holder = createServer()
    if (await listens(holder, port)) return { port, release: async () => void (await once(holder.close(), 'close')) }
  }
  throw new Error('no free port')
}

const listens = async (server: Server, port: number): Promise<boolean> => {
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening')
    return true
  } catch {
    return false
  }
}
