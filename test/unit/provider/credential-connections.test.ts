import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { expect, it } from 'vitest'
import type { TlsCredential } from '../../../src/domain/credential.ts'
import { instant } from '../../../src/kernel/time.ts'
import { createCredentialConnections } from '../../../src/provider/credential-connections.ts'
import { selfSigned } from '../../harness/self-signed.ts'

// A folder of five, and the one in use rejected: all are probed at once, and the first of them, a user's request among them, met a closed agent.
it('many certificates at once each have their connection, also those that were asked for first', async () => {
  const server = selfSigned({ kind: 'ec' })
  const app = createServer(
    { cert: server.certificate, key: server.key, requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      const { raw } = (request.socket as TLSSocket).getPeerCertificate()
      response.end(createHash('sha256').update(raw).digest('base64url'))
    },
  ).listen(0, '127.0.0.1')
  await once(app, 'listening')
  const url = new URL(`https://localhost:${(app.address() as AddressInfo).port}/token`)
  const connections = createCredentialConnections({
    ca: () => server.certificate,
    timeoutMs: 5000,
    fetch: () => Promise.reject(new Error('not a connection of everybody')),
  })
  const pairs = Array.from({ length: 9 }, () => selfSigned({ kind: 'ec' }))
  const ask = pairs.map(({ certificate, privateKey, thumbprint }) => {
    const credential: TlsCredential = {
      kind: 'tls',
      method: 'self_signed_tls_client_auth',
      privateKey,
      certificatePem: certificate,
      thumbprint,
      notBefore: instant(0),
      notAfter: instant(0),
      file: 'tls.crt',
    }
    return connections.fetchFor(credential)
  })
  const answers = await Promise.all(ask.map((fetch) => fetch({ url, method: 'GET', headers: {}, timeoutMs: 5000 })))
  expect(answers.map((answer) => (answer.kind === 'answered' ? answer.body : answer.cause))).toEqual(
    pairs.map(({ thumbprint }) => thumbprint),
  )
  await connections.close()
  app.close()
})
