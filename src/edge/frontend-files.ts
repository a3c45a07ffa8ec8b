import fastifyStatic from '@fastify/static'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { ServerResponse } from 'node:http'
import type { HeldSession, SessionRef } from '../domain/session.ts'
import { canonicalPath } from '../policy/canonical-path.ts'
import type { EdgeContext } from './edge-context.ts'
import { sendProblem, watch } from './edge-context.ts'
import type { Immutable } from './frontend-headers.ts'
import { acceptedEncodings, cachePolicy, fileHeaders, frontendCsp, looksLikeAsset, textTypeOf } from './frontend-headers.ts'
import type { FoundFile } from './frontend-lookup.ts'
import { findFile } from './frontend-lookup.ts'
import { isNavigation } from './guard-csrf.ts'

export interface FrontendFiles {
  readonly dir: string
  /** `default`, `off`, or a policy. */
  readonly csp?: string
  readonly immutable?: Immutable
  readonly sourceMaps?: boolean
}

/** With `held`, what follows is that session's: no shared cache may keep it, and it ends with the session. */
export interface Entry {
  readonly held: HeldSession | undefined
}
/** undefined: it has been answered. */
export type Gate = (request: FastifyRequest, reply: FastifyReply, path: string) => Entry | undefined | Promise<Entry | undefined>

export const registerFiles = (app: FastifyInstance, context: EdgeContext, files: FrontendFiles, gate: Gate): void => {
  const policy = frontendCsp(files.csp ?? 'default')
  const immutable = files.immutable ?? 'auto'
  const chosen = new WeakMap<ServerResponse, FoundFile>()
  // Only decorates `sendFile`: every file is asked for by the one handler below, after the gate, and found by us: its name holds no link any more.
  app.register(fastifyStatic, {
    root: files.dir,
    serve: false,
    dotfiles: 'allow',
    index: false,
    redirect: false,
    cacheControl: false,
    // Called for what is sent as a file only: a problem (412, 416) must not carry the encoding of a file.
    setHeaders: (reply, _path) => {
      const found = chosen.get(reply.raw)
      if (!found) return
      const type = textTypeOf(found.name)
      if (!reply.hasHeader('cache-control')) reply.header('cache-control', cachePolicy(found.name, immutable))
      reply.headers(fileHeaders(found.name, policy, context.https))
      if (type === undefined) return
      reply.header('vary', 'accept-encoding')
      if (reply.statusCode === 304) return
      reply.header('content-type', type)
      if (found.encoding) reply.header('content-encoding', found.encoding)
    },
  })
  app.route({
    method: ['GET', 'HEAD'],
    url: '/*',
    handler: async (request, reply) => {
      const note: { route: string; sessionRef?: SessionRef } = { route: 'frontend' }
      watch(context, request, reply, note)
      const target = canonicalPath(request.url)
      if (!target) return void sendProblem(context, request, reply, 'request.path-ambiguous')
      const entry = await gate(request, reply, target.path)
      if (!entry) return reply
      // Behind the gate nothing is public, whatever its name: a shared cache would hand it to those whom the gate stops.
      if (entry.held) {
        note.sessionRef = entry.held.session.ref
        reply.header('cache-control', 'no-store')
      }
      const encodings = acceptedEncodings(request.headers['accept-encoding']?.toString())
      // The frontend's own router knows the rest of its paths; a missing script or image is just missing.
      const isRouted = isNavigation(request.headers) && !looksLikeAsset(target.path)
      const found =
        (await findFile(files, target.path, encodings)) ?? (isRouted ? await findFile(files, '/index.html', encodings) : undefined)
      if (!found) return void sendProblem(context, request, reply, 'endpoint.unknown')
      chosen.set(reply.raw, found)
      return reply.sendFile(found.file, found.root)
    },
  })
}
