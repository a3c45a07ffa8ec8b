import { stat } from 'node:fs/promises'
import type { Settings } from '../config/settings.ts'
import { findFile } from '../edge/frontend-lookup.ts'
import type { Frontend } from '../edge/frontend-routes.ts'
import { StartError } from '../kernel/start-error.ts'
import { frontendRoute } from './frontend-route.ts'

/** What `frontend` means to the edge. Rejects with a StartError rather than let a mistyped path be a gateway that is ready and answers 404 to everybody. */
export const frontendOf = async ({ frontend }: Pick<Settings, 'frontend'>): Promise<Frontend> => {
  if (!frontend) return { kind: 'none' }
  if (frontend.kind === 'upstream') return { kind: 'upstream', route: frontendRoute(frontend.upstream) }
  const { dir, csp, immutable, sourceMaps } = frontend
  const folder = await stat(dir).catch(() => undefined)
  if (!folder?.isDirectory()) throw new StartError('frontend.dir-unreadable', `frontend.dir is not a folder that can be read: ${dir}`)
  const files = { dir, csp, immutable, sourceMaps }
  if (!(await findFile(files, '/index.html', [])))
    throw new StartError(
      'frontend.index-absent',
      `frontend.dir has no index.html that can be served: ${dir}. Point it to the folder that the build writes; links that lead out of the folder are not followed`,
    )
  return { kind: 'dir', ...files }
}
