import { memoryWorld } from './session-store-kit.ts'
import { sealedContract } from './session-store-sealed.ts'

sealedContract('memory', memoryWorld)
