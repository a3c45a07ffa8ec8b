import { checkProvider } from './check-provider.ts'
import { checkRedis } from './check-redis.ts'
import { checkRoutes, isBelow, WELL_KNOWN } from './check-routes.ts'
import type { Report } from './report.ts'
import type { Parsed } from './schema.ts'
import { isLoopback, type ListenAddress } from './setting.ts'

/** What the schema cannot see: settings that contradict each other. */
export const check = (parsed: Parsed, report: Report): void => {
  checkListen(parsed, report)
  checkProvider(parsed, report)
  checkSession(parsed, report)
  if (parsed.shutdown.grace < parsed.provider.timeout) report({ code: 'config.shutdown-grace-short', path: ['shutdown', 'grace'] })
  checkRoutes(parsed, report)
}

const shareAddress = (a: ListenAddress, b: ListenAddress): boolean => {
  if (a.kind === 'unix' || b.kind === 'unix') return a.kind === 'unix' && b.kind === 'unix' && a.path === b.path
  const anywhere = (host: string): boolean => host === '0.0.0.0' || host === '::'
  return a.port !== 0 && a.port === b.port && (a.host === b.host || anywhere(a.host) || anywhere(b.host))
}

const checkListen = ({ listen, base_path, public_url }: Parsed, report: Report): void => {
  const listeners = (['public', 'ops', 'admin'] as const).flatMap((name) => {
    const address = listen[name]
    return address === 'off' ? [] : [{ name, address }]
  })
  for (const [i, later] of listeners.entries()) {
    const first = listeners.slice(0, i).find((earlier) => shareAddress(earlier.address, later.address))
    if (first)
      report({
        code: 'config.listen-conflict',
        path: ['listen', later.name],
        also: ['listen', first.name],
        reason: `the listeners ${first.name} and ${later.name} share an address`,
      })
  }
  if (isBelow(WELL_KNOWN, base_path) || isBelow(base_path, WELL_KNOWN))
    report({ code: 'config.base-path-invalid', path: ['base_path'], reason: `base_path and ${WELL_KNOWN} would claim the same paths` })
  if (listen.tls && public_url.protocol === 'http:')
    report({
      code: 'config.public-url-insecure',
      path: ['public_url'],
      also: ['listen', 'tls'],
      reason: 'listen.tls is set, and public_url is http: browsers would be sent to a port that does not answer them',
      fix: `Write \`https://${public_url.host}\`, or remove \`listen.tls\`.`,
    })
  for (const [i, network] of listen.trusted_proxies.entries())
    if (network.endsWith('/0')) report({ code: 'config.proxies-everyone', path: ['listen', 'trusted_proxies', i] })
}

const checkSession = ({ session, public_url }: Parsed, report: Report): void => {
  if (session.idle_timeout > session.absolute_timeout)
    report({ code: 'config.session-timers', path: ['session', 'idle_timeout'], also: ['session', 'absolute_timeout'] })
  if (session.store === 'memory') {
    if (!isLoopback(public_url.hostname)) report({ code: 'config.memory-store', path: ['session', 'store'] })
    return
  }
  const { redis } = session.store
  if (session.keys_dir === undefined) report({ code: 'config.keys-dir-absent', path: ['session', 'store', 'redis'], onKey: true })
  checkRedis(redis, report)
}
