import type { Route } from '../domain/route.ts'
import type { FileWatch } from '../kernel/file-watch.ts'
import type { Log } from '../kernel/ports.ts'
import { openCaFile, openTlsPair } from '../kernel/tls-files.ts'
import type { TlsPairFiles } from '../kernel/tls-files.ts'
import type { Agents } from '../proxy/agents.ts'

/**
 * What routes prove themselves with to their upstreams (`routes[].tls.certificate_file`) and verify them by (`ca_file`), read now and watched from here on; each
 * file once, under the name of the first route that has it.
 * @throws StartError when a file is not what it should be
 */
export const watchUpstreamFiles = (
  routes: readonly Pick<Route, 'name' | 'tls'>[],
  agents: Pick<Agents, 'use' | 'trust'>,
  { watch, log }: { readonly watch: FileWatch; readonly log: Log },
): void => {
  const clients = new Map<string, { readonly setting: string; readonly files: TlsPairFiles }>()
  const authorities = new Map<string, string>()
  for (const { name, tls } of routes.toReversed()) {
    if (tls.client) clients.set(tls.client.certificateFile, { setting: `routes[${name}].tls`, files: tls.client })
    if (tls.caFile !== undefined) authorities.set(tls.caFile, `routes[${name}].tls.ca_file`)
  }
  for (const [name, { setting, files }] of clients) {
    const pair = openTlsPair(files, { setting, log, use: (next) => agents.use(name, next) })
    agents.use(name, pair.now())
    watch.add(setting, pair.look)
  }
  for (const [file, setting] of authorities) {
    const ca = openCaFile(file, { setting, log, use: (next) => agents.trust(file, next) })
    agents.trust(file, ca.now())
    watch.add(setting, ca.look)
  }
}
