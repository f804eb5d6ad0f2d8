/**
 * @since 0.1.0
 */
export * as BlobStoreSql from "./layers/BlobStoreSql.js"
export * as BurrowSqlite from "./layers/BurrowSqlite.js"
export * as DigestNode from "./layers/DigestNode.js"
export * as RuntimeStoreSqlite from "./layers/RuntimeStoreSqlite.js"
