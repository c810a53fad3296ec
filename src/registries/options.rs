//! The ways to run a server of a record, and why some are not possible.

use crate::contract::registry::{InputKind, RegistryOption, RegistryServer, RequiredInput};
use crate::contract::words::{RegistryStatus, ServerProtocol};
use crate::registries::arguments::{Word, of_package, of_runtime};
use crate::registries::identifier::{
    is_header, is_image, is_input, is_npm, is_plain, is_tag, is_variable, remote_problem,
};
use crate::registries::record::{KeyValue, Package, Record, Remote, shown};
use crate::registries::template::{Inputs, Piece, Template};

/// A way to run a server, with everything that becomes its entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipe {
    pub start: Start,
    pub inputs: Inputs,
    pub env: Vec<(String, Template)>,
    pub headers: Vec<(String, Template)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    Local { command: &'static str, words: Vec<Word> },
    Remote { protocol: ServerProtocol, url: Template },
}

/// A way with its ID: how to do it, or why it is not possible.
pub(crate) struct Choice {
    pub id: String,
    pub recipe: Result<Recipe, String>,
}

/// All ways of a record, in its order; packages first.
pub(crate) fn choices(record: &Record) -> Vec<Choice> {
    let packages = record.packages.iter().map(|package| (kind_of(package), of_package_record(package)));
    let remotes = record.remotes.iter().map(|remote| ("remote".to_owned(), of_remote(remote)));
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    let numbered = packages.chain(remotes).map(|(kind, recipe)| {
        let count = seen.entry(kind.clone()).or_default();
        *count += 1;
        let id = if *count == 1 { kind } else { format!("{kind}-{count}") };
        Choice { id, recipe }
    });
    numbered.collect()
}

fn kind_of(package: &Package) -> String {
    let kind = package.registry_type.to_ascii_lowercase();
    if is_input(&kind) { kind } else { "other".to_owned() }
}

fn of_package_record(package: &Package) -> Result<Recipe, String> {
    if !matches!(package.transport.kind.as_str(), "" | "stdio") {
        return Err("it starts a web server on this computer; MCPProxy starts local servers over stdio only".to_owned());
    }
    let mut inputs = Inputs::default();
    let mut env = variables(&package.environment_variables, &mut inputs)?;
    let name = package.identifier.as_str();
    let (command, usual) = match package.registry_type.as_str() {
        "npm" => ("npx", "https://registry.npmjs.org"),
        "pypi" => ("uvx", "https://pypi.org"),
        "nuget" => ("dnx", "https://api.nuget.org"),
        "oci" => ("docker", ""),
        "mcpb" => return Err("it is an MCP bundle (.mcpb), which MCPProxy cannot install".to_owned()),
        other => return Err(format!("MCPProxy cannot install packages of the kind `{}`", shown(other))),
    };
    let base = package.registry_base_url.trim_end_matches('/');
    if !base.is_empty() && !usual.is_empty() && base.strip_suffix("/v3/index.json").unwrap_or(base) != usual {
        return Err(format!("it is at another package registry: {}", shown(base)));
    }
    let hint = package.runtime_hint.as_str();
    if !package.runtime_arguments.is_empty() && !matches!(hint, "" | "uv") && hint != command {
        return Err(format!("it needs `{}`, which MCPProxy does not use for it", shown(hint)));
    }
    let runtime = of_runtime(&package.runtime_arguments, command, name, &mut inputs)?;
    let arguments = of_package(&package.package_arguments, &mut inputs)?;
    env.extend(runtime.env);
    let mut words = match command {
        "docker" => [
            Word::fixed("run"),
            Word::fixed("-i"),
            Word::fixed("--rm"),
            Word::Variables,
        ]
        .to_vec(),
        "npx" => vec![Word::fixed("-y")],
        _ => Vec::new(),
    };
    words.extend(runtime.words);
    if runtime.names_program {
        words.push(Word::fixed("--from"));
    }
    words.push(Word::fixed(&reference(package, command, runtime.names_program)?));
    if command == "dnx" {
        words.push(Word::fixed("--yes"));
        if !arguments.is_empty() {
            words.push(Word::fixed("--"));
        }
    }
    words.extend(arguments);
    Ok(Recipe {
        start: Start::Local { command, words },
        inputs,
        env,
        headers: Vec::new(),
    })
}

/// The package with its version, as the package manager expects it.
fn reference(package: &Package, command: &str, names_program: bool) -> Result<String, String> {
    let (name, version) = (package.identifier.as_str(), package.version.as_str());
    let invalid = |what: &str, text: &str| Err(format!("the {what} `{}` is invalid", shown(text)));
    if command == "docker" {
        let host = package.registry_base_url.trim_end_matches('/').trim_start_matches("https://");
        let first = name.split('/').next().unwrap_or_default();
        let has_host = first.contains(['.', ':']) || first == "localhost";
        let image = if has_host || host.is_empty() { name.to_owned() } else { format!("{host}/{name}") };
        let last = image.rsplit('/').next().unwrap_or_default();
        let image = match last.contains([':', '@']) || version.is_empty() {
            true => image,
            false if !is_tag(version) => return invalid("version", version),
            false => format!("{image}:{version}"),
        };
        return if is_image(&image) { Ok(image) } else { invalid("image", &image) };
    }
    let fits = if command == "npx" { is_npm(name) } else { is_plain(name) };
    match (fits, version.is_empty() || crate::registries::identifier::is_version(version)) {
        (false, _) => invalid("package", name),
        (_, false) => invalid("version", version),
        _ if version.is_empty() => Ok(name.to_owned()),
        _ if names_program => Ok(format!("{name}=={version}")),
        _ => Ok(format!("{name}@{version}")),
    }
}

fn variables(list: &[KeyValue], inputs: &mut Inputs) -> Result<Vec<(String, Template)>, String> {
    let read = list.iter().map(|variable| match is_variable(&variable.name) {
        true => Ok((variable.name.clone(), inputs.value(InputKind::Env, &variable.name, &variable.input, false)?)),
        false => Err(format!("it sets the variable `{}`, which MCPProxy does not allow", shown(&variable.name))),
    });
    read.collect()
}

fn of_remote(remote: &Remote) -> Result<Recipe, String> {
    let protocol = match remote.kind.as_str() {
        "streamable-http" | "http" | "" => ServerProtocol::StreamableHttp,
        "sse" => ServerProtocol::Sse,
        other => return Err(format!("MCPProxy does not know its transport `{}`", shown(other))),
    };
    let mut inputs = Inputs::default();
    let url = inputs.template(&remote.url, &remote.variables, true)?;
    let has_own_host = !matches!(url.0.first(), Some(Piece::Input(_)));
    let example = url.fill(|_| Some("x".to_owned())).unwrap_or_default();
    if example.contains("${") || example.chars().any(crate::contract::visible_text::is_hidden) || example.len() > 2000 {
        return Err("its URL is invalid".to_owned());
    }
    if let Some(problem) = remote_problem(&example).filter(|_| has_own_host) {
        return Err(problem.to_owned());
    }
    let mut headers = Vec::new();
    for header in &remote.headers {
        if !is_header(&header.name) {
            return Err(format!("it sets the header `{}`, which MCPProxy does not allow", shown(&header.name)));
        }
        headers.push((header.name.clone(), inputs.value(InputKind::Header, &header.name, &header.input, false)?));
    }
    Ok(Recipe {
        start: Start::Remote { protocol, url },
        inputs,
        env: Vec::new(),
        headers,
    })
}

impl Recipe {
    /// The command line or URL, with inputs as `{name}`; what the user need not give is left out.
    pub(crate) fn shown(&self) -> String {
        let optional = |template: &Template| {
            template.inputs().any(|index| self.inputs.0.get(index).is_some_and(|input| !input.required))
        };
        match &self.start {
            Start::Remote { url, .. } => url.shown(&self.inputs),
            Start::Local { command, words } => {
                let mut line = (*command).to_owned();
                for word in words {
                    match word {
                        Word::Value(value) if !optional(value) => {
                            line.push_str(&format!(" {}", value.shown(&self.inputs)))
                        }
                        Word::Option(flag, value) if !optional(value) => {
                            line.push_str(&format!(" {flag} {}", value.shown(&self.inputs)));
                        }
                        Word::Value(_) | Word::Option(..) | Word::Switch(..) => {}
                        Word::Variables => {
                            let required = self.env.iter().filter(|(_, value)| !optional(value));
                            required.for_each(|(name, _)| line.push_str(&format!(" -e {name}")));
                        }
                    }
                }
                line
            }
        }
    }
}

/// A record as the programs exchange it.
pub(crate) fn describe(record: &Record, registry: &str) -> RegistryServer {
    let choices = choices(record);
    let usable = choices.iter().filter_map(|choice| choice.recipe.as_ref().ok());
    let first = |is_remote: bool| {
        let mut recipes = usable.clone();
        recipes.find(|recipe| matches!(recipe.start, Start::Remote { .. }) == is_remote).map(Recipe::shown)
    };
    let required = usable.clone().next().map(|recipe| {
        let required = recipe.inputs.0.iter().filter(|input| input.required && input.default.is_none());
        required.map(|input| RequiredInput {
            name: input.name.clone(),
            description: input.description.clone(),
            secret: input.secret,
        })
    });
    RegistryServer {
        id: record.name.clone(),
        name: record.name.clone(),
        title: record.title.clone(),
        description: record.description.clone(),
        version: record.version.clone(),
        registry: registry.to_owned(),
        status: if record.is_deprecated() { RegistryStatus::Deprecated } else { RegistryStatus::Active },
        url: first(true),
        install_cmd: first(false),
        source_code_url: Some(record.repository.url.clone()).filter(|url| remote_problem(url).is_none()),
        updated_at: record.status.updated_at.clone(),
        required_inputs: required.into_iter().flatten().collect(),
        options: choices.iter().map(option).collect(),
    }
}

fn option(choice: &Choice) -> RegistryOption {
    match &choice.recipe {
        Ok(recipe) => RegistryOption {
            id: choice.id.clone(),
            runs: Some(recipe.shown()),
            unsupported: None,
            inputs: recipe.inputs.0.clone(),
        },
        Err(reason) => RegistryOption {
            id: choice.id.clone(),
            runs: None,
            unsupported: Some(reason.clone()),
            inputs: Vec::new(),
        },
    }
}
