import { Secret } from '../kernel/secret.ts'
import { resolvePath } from './reference.ts'
import type { Parsed } from './schema.ts'
import type { RedisServersSettings, RedisSettings } from './settings.ts'

export type RedisInput = Exclude<Parsed['session']['store'], 'memory'>['redis']

/** Only for what check-redis.ts has passed. */
export const buildRedis = (redis: RedisInput, dir: string): RedisSettings => {
  const path = (file: string | undefined): string | undefined => (file === undefined ? undefined : resolvePath(dir, file))
  const { url } = redis
  const password = redis.password ?? decodedOrNone(url?.password)
  return {
    servers: serversOf(redis, dir),
    tls: url ? url.protocol === 'rediss:' : (redis.tls ?? true),
    username: redis.username ?? decodedOrNone(url?.username),
    password: password === undefined ? undefined : Secret.of('redis-password', password),
    passwordFile: path(redis.password_file),
    caFile: path(redis.ca_file),
    certificateFile: path(redis.certificate_file),
    privateKeyFile: path(redis.private_key_file),
    serverName: redis.server_name,
    keyPrefix: redis.key_prefix,
  }
}

const serversOf = ({ url, sentinel, cluster }: RedisInput, dir: string): RedisServersSettings => {
  if (sentinel) {
    const { name, nodes, username, password_file } = sentinel
    return {
      kind: 'sentinel',
      name,
      nodes,
      username,
      passwordFile: password_file === undefined ? undefined : resolvePath(dir, password_file),
    }
  }
  if (cluster) return { kind: 'cluster', nodes: cluster.nodes }
  if (!url) throw new Error('check-redis.ts lets nothing else through')
  return {
    kind: 'one',
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 6379 : Number(url.port),
    database: Number(url.pathname.slice(1) || '0'),
  }
}

/** A `%` that starts no escape stands for itself: passwords come as they are. */
const decodedOrNone = (text: string | undefined): string | undefined => {
  if (text === undefined || text === '') return undefined
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
