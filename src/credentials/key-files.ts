import { createPrivateKey, hash } from 'node:crypto'
import type { KeyFiles, ServiceAccountKey } from '../domain/key-file.ts'
import type { FileLook, FileWatch } from '../kernel/file-watch.ts'
import type { Log } from '../kernel/ports.ts'
import { readText } from '../kernel/read-file.ts'
import { Secret } from '../kernel/secret.ts'

export interface KeyFilesDeps {
  /** `token.key_file` of routes with `grant: static`. */
  readonly apiKeys: readonly string[]
  /** Of routes with `grant: service_account`. */
  readonly serviceAccounts: readonly string[]
  readonly watch: FileWatch
  readonly log: Log
}

/**
 * The keys that routes name, watched: a new one takes effect with the next request. A file that is emptied, half written or gone does
 * not take the one in use away.
 */
export const openKeyFiles = async ({ apiKeys, serviceAccounts, watch, log }: KeyFilesDeps) => {
  const keys = new Map<string, Secret<'access-token'>>()
  const accounts = new Map<string, { readonly digest: string; readonly key: ServiceAccountKey }>()
  const failing = new Set<string>()
  let changes = 0

  const fail = (file: string, isHeld: boolean): void => {
    const hint = isHeld ? 'the last one read stays in use' : 'its routes answer 502 until it can be read'
    if (!failing.has(file)) log.warn({ file, hint }, 'the key file of a route is empty, malformed or cannot be read')
    failing.add(file)
  }

  const readKey = async (file: string): Promise<void> => {
    const text = ((await readText(file)) ?? '').trim()
    if (!API_KEY.test(text)) return fail(file, keys.has(file))
    failing.delete(file)
    const secret = Secret.of('access-token', text)
    const held = keys.get(file)
    // The same object as long as the content is: what was made of it is known by it.
    if (held?.equals(secret)) return
    if (held) log.info({ file }, 'the API key of a route changed')
    keys.set(file, secret)
    changes += 1
  }

  const readAccount = async (file: string): Promise<void> => {
    const text = (await readText(file)) ?? ''
    const held = accounts.get(file)
    const digest = hash('sha256', text, 'base64url')
    const isSame = held?.digest === digest
    const key = isSame ? held.key : serviceAccountKey(text)
    if (!key) return fail(file, held !== undefined)
    failing.delete(file)
    if (isSame) return
    if (held) log.info({ file }, 'the service account key of a route changed')
    accounts.set(file, { digest, key })
    changes += 1
  }

  const look = async (): Promise<FileLook> => {
    const before = changes
    for (const file of new Set(apiKeys)) await readKey(file)
    for (const file of new Set(serviceAccounts)) await readAccount(file)
    return { outcome: failing.size > 0 ? 'kept' : changes === before ? 'unchanged' : 'replaced' }
  }

  await look()
  if (apiKeys.length + serviceAccounts.length > 0) watch.add('routes[].token.key_file', look)
  const files: KeyFiles = {
    apiKey: (file) => keys.get(file),
    serviceAccount: (file) => accounts.get(file)?.key,
  }
  return files
}

/** What can stand in a header line (RFC 9110 §5.5), blanks inside included. */
const API_KEY = /^[\x21-\x7e](?:[\x20-\x7e]{0,4094}[\x21-\x7e])?$/

/** RFC 7518 §3.3. */
const RSA_BITS_MIN = 2048
/** The JSON file that Google issues; undefined when it is none, or its key cannot sign RS256. */
export const serviceAccountKey = (text: string): ServiceAccountKey | undefined => {
  try {
    const file = JSON.parse(text) as unknown
    if (typeof file !== 'object' || file === null) return undefined
    const member = (name: string): string => {
      const value: unknown = Object.hasOwn(file, name) ? Reflect.get(file, name) : undefined
      return typeof value === 'string' ? value : ''
    }
    const tokenEndpoint = new URL(member('token_uri'))
    const isSafe = tokenEndpoint.protocol === 'https:' || (tokenEndpoint.protocol === 'http:' && LOOPBACK.has(tokenEndpoint.hostname))
    const privateKey = createPrivateKey(member('private_key'))
    const [email, keyId] = [member('client_email'), member('private_key_id')]
    if (member('type') !== 'service_account' || email === '' || keyId === '' || !isSafe) return undefined
    const isSigning = privateKey.asymmetricKeyType === 'rsa' && (privateKey.asymmetricKeyDetails?.modulusLength ?? 0) >= RSA_BITS_MIN
    return isSigning ? { email, keyId, privateKey, tokenEndpoint } : undefined
  } catch {
    return undefined // what cannot be parsed may be quoted in the error
  }
}
const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])
