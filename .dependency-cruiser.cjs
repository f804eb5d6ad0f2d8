// The arrows between the folders of src. A folder imports only from folders above it:
//
//   schema <- core <- services <- layers <- testing, entry points, bin
//
// A rule is written as "from this folder, to anything that is not on the list".
const { builtinModules } = require("node:module")

const anyOf = (names) => `(${names.join("|")})`
const npmPackage = (name) => `(^|/)node_modules/${name}/`
const effectModules = (names) => `(^|/)node_modules/effect/(dist/(dts|esm|cjs)|src)/${anyOf(names)}\\.(d\\.ts|js|ts)$`

// Data and functions over it: nothing here describes or runs an effect.
const pureEffectModules = effectModules([
  "Array",
  "BigDecimal",
  "BigInt",
  "Boolean",
  "Brand",
  "Chunk",
  "Data",
  "Duration",
  "Either",
  "Encoding",
  "Equal",
  "Equivalence",
  "Function",
  "Hash",
  "HashMap",
  "HashSet",
  "Iterable",
  "Match",
  "Number",
  "Option",
  "Order",
  "Ordering",
  "Predicate",
  "Record",
  "Schema",
  "SortedMap",
  "SortedSet",
  "String",
  "Struct",
  "Tuple",
  "Types"
])

const entryPoints = "^src/[^/]+\\.ts$"
const nodeBuiltins = `^(node:.+|${anyOf(builtinModules.map((name) => name.replace("/", "\\/")))})$`

/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: "schema-imports-only-effect",
      comment: "src/schema is what is stored and passed around: it imports effect and itself.",
      severity: "error",
      from: { path: "^src/schema/" },
      to: { pathNot: ["^src/schema/", npmPackage("effect")] }
    },
    {
      name: "core-is-pure",
      comment:
        "src/core decides without I/O, runtime, clock or randomness: it imports schema and effect's data modules.",
      severity: "error",
      from: { path: "^src/core/" },
      to: { pathNot: ["^src/(schema|core)/", pureEffectModules] }
    },
    {
      name: "services-import-no-implementation",
      comment: "src/services holds the seams: it imports schema, core, effect and @effect/platform.",
      severity: "error",
      from: { path: "^src/services/" },
      to: { pathNot: ["^src/(schema|core|services)/", npmPackage("effect"), npmPackage("@effect/platform")] }
    },
    {
      name: "layers-import-upwards",
      comment: "src/layers implements the services: of src it imports schema, core, services and layers.",
      severity: "error",
      from: { path: "^src/layers/" },
      to: { path: "^src/", pathNot: "^src/(schema|core|services|layers)/" }
    },
    {
      name: "layers-are-chosen-at-the-edge",
      comment: "Only testing, the entry points and bin choose an implementation.",
      severity: "error",
      from: { path: "^src/", pathNot: [entryPoints, "^src/(layers|testing|bin)/"] },
      to: { path: "^src/layers/" }
    },
    {
      name: "testing-is-imported-by-its-entry-point",
      comment: "What users test with is reached by effect-burrow/testing alone.",
      severity: "error",
      from: { path: "^src/", pathNot: ["^src/testing\\.ts$", "^src/testing/"] },
      to: { path: "^src/testing/" }
    },
    {
      name: "entry-points-are-not-imported",
      comment: "An entry point re-exports; inside src a module imports the module that it needs.",
      severity: "error",
      from: { path: "^src/" },
      to: { path: entryPoints }
    },
    {
      name: "bin-is-not-imported",
      comment: "A command is started, not imported.",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/bin/" },
      to: { path: "^src/bin/" }
    },
    {
      name: "root-is-platform-neutral",
      comment: "A browser can import the root entry point: nothing of SQL or of Node may be reachable from it.",
      severity: "error",
      from: { path: "^src/index\\.ts$" },
      to: {
        reachable: true,
        path: [
          "^src/layers/sql/",
          npmPackage("@effect/sql[^/]*"),
          npmPackage("@effect/platform-node[^/]*"),
          nodeBuiltins
        ]
      }
    },
    {
      name: "src-imports-nothing-outside",
      comment: "Tests, examples, benchmarks and scripts use the library, not the other way round.",
      severity: "error",
      from: { path: "^src/" },
      to: { pathNot: ["^src/", "(^|/)node_modules/", nodeBuiltins] }
    },
    {
      name: "src-imports-what-users-install",
      comment: "What src imports is a dependency or a peer; a development dependency is not there at the user's.",
      severity: "error",
      from: { path: "^src/" },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"], dependencyTypesNot: ["npm", "npm-peer"] }
    },
    {
      name: "no-cycles",
      comment: "Modules that import each other are one module, or have a third one hidden in them.",
      severity: "error",
      from: {},
      to: { circular: true }
    },
    {
      name: "everything-resolves",
      comment: "An import that cannot be resolved escapes the other rules.",
      severity: "error",
      from: {},
      to: { couldNotResolve: true }
    }
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    // Type-only imports are arrows too.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["types", "import", "node", "default"]
    }
  }
}
