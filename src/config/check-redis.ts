import type { RedisInput } from './build-redis.ts'
import type { Report } from './report.ts'
import { isLoopback } from './setting.ts'

const AT = ['session', 'store', 'redis'] as const

/** Where the servers are, and what is proven to them. */
export const checkRedis = (redis: RedisInput, report: Report): void => {
  const places = (['url', 'sentinel', 'cluster'] as const).filter((name) => redis[name] !== undefined)
  const [first, second] = places
  if (first === undefined) report({ code: 'config.redis-choice', path: AT, onKey: true })
  else if (second !== undefined) report({ code: 'config.redis-choice', path: [...AT, second], onKey: true, also: [...AT, first] })
  if (redis.url && redis.tls !== undefined)
    report({
      code: 'config.redis-choice',
      path: [...AT, 'tls'],
      also: [...AT, 'url'],
      reason: 'with url, its scheme says whether there is TLS',
      fix: `Remove \`tls\`${redis.tls ? ', and write `rediss://`' : ''}.`,
    })
  const passwords = [redis.password, redis.password_file, redis.url?.password || undefined].filter((value) => value !== undefined)
  if (passwords.length > 1) report({ code: 'config.redis-password-choice', path: AT, onKey: true })
  checkTls(redis, report)
}

const checkTls = (redis: RedisInput, report: Report): void => {
  const isTls = redis.url ? redis.url.protocol === 'rediss:' : (redis.tls ?? true)
  const files = (['ca_file', 'server_name', 'certificate_file', 'private_key_file'] as const).filter((name) => redis[name] !== undefined)
  if (!isTls)
    for (const name of files)
      report({ code: 'config.tls-unused', path: [...AT, name], ...(!redis.url && { fix: 'Remove `tls: false`, or remove the setting.' }) })
  const half = redis.certificate_file === undefined ? 'private_key_file' : 'certificate_file'
  if ((redis.certificate_file === undefined) !== (redis.private_key_file === undefined))
    report({ code: 'config.redis-certificate-half', path: [...AT, half], onKey: true })
  if (isTls) return
  if (redis.url && !isLoopback(redis.url.hostname)) report({ code: 'config.redis-without-tls', path: [...AT, 'url'] })
  const nodes = [...(redis.sentinel?.nodes ?? []), ...(redis.cluster?.nodes ?? [])]
  if (!redis.url && nodes.some(({ host }) => !isLoopback(host)))
    report({ code: 'config.redis-without-tls', path: [...AT, 'tls'], fix: 'Remove `tls: false`.' })
}
