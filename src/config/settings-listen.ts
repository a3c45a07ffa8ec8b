import * as z from 'zod'
import {
  canonicalPath,
  cidr,
  duration,
  filePath,
  isLoopback,
  listenAddress,
  parseListenAddress,
  setting,
  text,
  type ListenAddress,
} from './setting.ts'

export const publicUrl = setting(
  text<URL>('the origin of the application, such as https://shop.example.com', (value) => {
    const url = URL.parse(value)
    if (!url || !/^https?:$/.test(url.protocol)) return { code: 'config.value-invalid', reason: 'expected an https URL' }
    if (url.username !== '' || url.password !== '') return { code: 'config.url-credentials' }
    if (url.pathname !== '/' || value.includes('?') || value.includes('#'))
      return {
        code: 'config.public-url-not-origin',
        fix: `Write \`${isLoopback(url.hostname) ? url.origin : `https://${url.host}`}\`; paths belong to base_path and routes.`,
      }
    if (url.protocol === 'http:' && !isLoopback(url.hostname))
      return { code: 'config.public-url-insecure', fix: `Write \`https://${url.host}\`; http is for localhost only.` }
    return { ok: new URL(url.origin) }
  }),
  {
    doc: 'The one origin that browsers use. The redirect URI is this plus `base_path` plus `/callback`. http only for localhost.',
    example: 'https://shop.example.com',
  },
)

export const basePath = setting(canonicalPath('config.base-path-invalid').prefault('/bff'), {
  doc: 'Where the gateway’s own endpoints live. Nothing below it is ever proxied.',
})

export const listenSettings = z.strictObject({
  public: setting(listenAddress().prefault('0.0.0.0:8080'), { doc: 'For browsers: endpoints, routes, frontend.' }),
  ops: setting(listenAddress().prefault('0.0.0.0:9090'), { doc: 'For the platform: `/livez`, `/readyz`, `/metrics`, nothing else.' }),
  admin: setting(
    text<ListenAddress | 'off'>('unix:/path or off', (value) => {
      if (value === 'off') return { ok: value }
      const address = parseListenAddress(value)
      if (!address) return { code: 'config.value-invalid', reason: 'expected unix:/path or off' }
      return address.kind === 'unix' ? { ok: address } : { code: 'config.admin-over-tcp' }
    }).prefault('unix:/run/sallyport/admin.sock'),
    { doc: 'For operators on this machine: `/admin/*` on a Unix socket, or `off`.' },
  ),
  trusted_proxies: setting(z.array(cidr()).max(256).prefault([]), {
    doc: 'Networks whose `X-Forwarded-*` is believed. Everybody else’s is replaced.',
    example: '[10.0.0.0/8]',
  }),
  tls: setting(
    z
      .strictObject({
        certificate_file: setting(filePath(), {
          doc: 'PEM, the leaf first. Watched: new connections get the new one.',
          reload: 'live',
        }),
        private_key_file: setting(filePath(), { doc: 'PEM.', reload: 'live' }),
      })
      .optional(),
    { doc: 'TLS on the public listener; without it, TLS ends in front of the gateway.' },
  ),
})

export const shutdownSettings = z.strictObject({
  delay: setting(duration(0, 300_000).prefault('5s'), {
    doc: 'After SIGTERM, unready but still serving, until load balancers have noticed.',
  }),
  grace: setting(duration(0, 3_600_000).prefault('30s'), { doc: 'How long requests under way may take to finish.' }),
})
