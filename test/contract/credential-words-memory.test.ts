import { createMemoryCredentialBoard } from '../../src/session/credential-board.ts'
import { credentialWordsContract } from './credential-words.ts'

credentialWordsContract('memory', async () => {
  const board = createMemoryCredentialBoard()
  return { board: async () => board, endless: async () => [], close: async () => {} }
})
