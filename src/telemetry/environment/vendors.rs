//! Table of the environment variables of CI services, cloud IDEs and hosting platforms.
//!
//! A flag counts if it is [on](is_on), an identifier if it is set to any value: `RUN_ID=0` is a valid run. The table leaves
//! out variables that a *client* of a service carries (`CODER_URL`, `DAYTONA_API_KEY`, `E2B_API_KEY`, `DEVPOD_UI`),
//! because they do not show where it runs.

use crate::contract::flag::is_on;
use crate::os::environment::Environment;

/// The meaning of a vendor's variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A user works here through a browser or a remote editor.
    CloudIde,
    /// A job of a CI service runs here.
    Ci,
    /// A platform that both builds and serves: CI only when the generic `CI` is on as well.
    Hosting,
    /// A variable that many CI services share and that is also inherited on desktops.
    GenericCi,
}

/// The condition that recognises a vendor.
#[derive(Debug, Clone, Copy)]
pub enum Sign {
    /// The variable is a flag and is [on](is_on).
    On(&'static str),
    /// The variable is set and not empty.
    Set(&'static str),
    /// The variable has this value.
    Is(&'static str, &'static str),
    /// The variable's value contains this.
    Has(&'static str, &'static str),
    /// The variable's value starts with this.
    Starts(&'static str, &'static str),
    /// All of these hold.
    All(&'static [Sign]),
    /// At least one of these holds.
    Any(&'static [Sign]),
    /// The first holds and the second does not.
    Unless(&'static Sign, &'static Sign),
}

/// One vendor and its condition.
#[derive(Debug, Clone, Copy)]
pub struct Vendor {
    pub name: &'static str,
    pub role: Role,
    pub sign: Sign,
    /// The public list or document that names the variable.
    pub source: &'static str,
}

/// Environment variables of an observed machine, with the name rules of its operating system.
pub(crate) trait Variables {
    /// The value of a variable; `""` if it is set but empty.
    fn value(&self, name: &str) -> Option<&str>;

    /// Whether the variable is set and not empty.
    fn set(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| !value.trim().is_empty())
    }

    /// Whether the variable is a flag that is [on](is_on).
    fn flag(&self, name: &str) -> bool {
        self.value(name).is_some_and(is_on)
    }
}

impl Variables for Environment {
    fn value(&self, name: &str) -> Option<&str> {
        self.get(name)
    }
}

impl Sign {
    /// Whether the variables satisfy this condition.
    pub(crate) fn holds(&self, variables: &impl Variables) -> bool {
        match self {
            Sign::On(name) => variables.flag(name),
            Sign::Set(name) => variables.set(name),
            Sign::Is(name, value) => variables.value(name).is_some_and(|v| v.trim() == *value),
            Sign::Has(name, part) => variables.value(name).is_some_and(|v| v.contains(part)),
            Sign::Starts(name, head) => variables.value(name).is_some_and(|v| v.trim_start().starts_with(head)),
            Sign::All(signs) => signs.iter().all(|sign| sign.holds(variables)),
            Sign::Any(signs) => signs.iter().any(|sign| sign.holds(variables)),
            Sign::Unless(sign, exception) => sign.holds(variables) && !exception.holds(variables),
        }
    }

    /// Calls `each` with every variable name that this condition reads.
    pub fn names(&self, each: &mut impl FnMut(&'static str)) {
        match self {
            Sign::On(name) | Sign::Set(name) => each(name),
            Sign::Is(name, _) | Sign::Has(name, _) | Sign::Starts(name, _) => each(name),
            Sign::All(signs) | Sign::Any(signs) => signs.iter().for_each(|sign| sign.names(each)),
            Sign::Unless(sign, exception) => {
                sign.names(each);
                exception.names(each);
            }
        }
    }
}

const CI_INFO: &str = "npm ci-info 4.5.0, vendors.json";
const STD_ENV: &str = "npm std-env 4, providers";
const IS_CI: &str = "crate is_ci 1.2.0";
const RUST_CI_INFO: &str = "crate ci_info 0.14";
const ENV_CI: &str = "npm env-ci, services";

const fn ci(name: &'static str, sign: Sign, source: &'static str) -> Vendor {
    Vendor {
        name,
        role: Role::Ci,
        sign,
        source,
    }
}

const fn cloud_ide(name: &'static str, sign: Sign, source: &'static str) -> Vendor {
    Vendor {
        name,
        role: Role::CloudIde,
        sign,
        source,
    }
}

const fn hosting(name: &'static str, sign: Sign, source: &'static str) -> Vendor {
    Vendor {
        name,
        role: Role::Hosting,
        sign,
        source,
    }
}

const fn generic(name: &'static str, sign: Sign, source: &'static str) -> Vendor {
    Vendor {
        name,
        role: Role::GenericCi,
        sign,
        source,
    }
}

use Sign::{All, Any, Has, Is, On, Set, Starts, Unless};

/// Every vendor, in the order of the checks within a role.
pub const VENDORS: &[Vendor] = &[
    // Cloud IDEs and hosted workspaces
    cloud_ide(
        "GitHub Codespaces",
        Any(&[On("CODESPACES"), Set("CODESPACE_NAME"), Set("CLOUDENV_ENVIRONMENT_ID")]),
        "docs.github.com, default environment variables for your codespace",
    ),
    cloud_ide(
        "Gitpod",
        Any(&[
            Set("GITPOD_WORKSPACE_ID"),
            Set("GITPOD_INSTANCE_ID"),
            Set("GITPOD_ENVIRONMENT_ID"),
        ]),
        "gitpod.io and ona.com docs, environment variables",
    ),
    cloud_ide(
        "Replit",
        Any(&[
            Set("REPL_ID"),
            Set("REPLIT_USER"),
            Set("REPLIT_SESSION"),
            Set("REPL_SLUG"),
        ]),
        "docs.replit.com, predefined environment variables",
    ),
    cloud_ide(
        "CodeSandbox",
        Any(&[On("CSB"), Set("CODESANDBOX_HOST"), Set("CODESANDBOX_SSE")]),
        "codesandbox.io docs, environment; npm std-env",
    ),
    cloud_ide(
        "StackBlitz",
        Any(&[On("STACKBLITZ"), On("STACKBLITZ_ENV"), Is("SHELL", "/bin/jsh")]),
        "npm std-env, providers: WebContainer",
    ),
    cloud_ide("Bolt", Set("BOLT_ENV"), "bolt.new workspace environment"),
    cloud_ide(
        "Google Cloud Shell",
        Any(&[
            On("CLOUD_SHELL"),
            On("EDITOR_IN_CLOUD_SHELL"),
            On("GOOGLE_CLOUD_SHELL"),
            Set("DEVSHELL_GCLOUD_CONFIG"),
        ]),
        "cloud.google.com, Cloud Shell; google-gemini/gemini-cli, detect-ide",
    ),
    cloud_ide(
        "Google Cloud Workstations",
        On("GOOGLE_CLOUD_WORKSTATIONS"),
        "cloud.google.com, Cloud Workstations base images",
    ),
    cloud_ide("Firebase Studio", On("MONOSPACE_ENV"), "google-gemini/gemini-cli, detect-ide"),
    cloud_ide(
        "Azure Cloud Shell",
        Any(&[
            On("AZD_IN_CLOUDSHELL"),
            Set("ACC_CLOUD"),
            Starts("AZUREPS_HOST_ENVIRONMENT", "cloud-shell/"),
            Starts("POWERSHELL_DISTRIBUTION_CHANNEL", "CloudShell"),
        ]),
        "Azure/CloudShell image; Azure/azure-dev, telemetry",
    ),
    cloud_ide("AWS CloudShell", Is("AWS_EXECUTION_ENV", "CloudShell"), "docs.aws.amazon.com, CloudShell"),
    cloud_ide(
        "AWS Cloud9",
        Any(&[Set("C9_PID"), Set("C9_USER"), Set("C9_PROJECT")]),
        "docs.aws.amazon.com, Cloud9 environment variables",
    ),
    cloud_ide(
        "Amazon SageMaker Studio",
        Set("SAGEMAKER_APP_TYPE"),
        "docs.aws.amazon.com, SageMaker Studio applications",
    ),
    cloud_ide(
        "JetBrains Space dev environment",
        Set("__DEV_ENVIRONMENT_ID"),
        "jetbrains.com/help/space, dev environments",
    ),
    cloud_ide(
        "Coder",
        Any(&[
            Set("CODER_AGENT_TOKEN"),
            Set("CODER_WORKSPACE_NAME"),
            Set("CODER_WORKSPACE_AGENT_NAME"),
            On("CODER"),
        ]),
        "coder.com docs and coder/coder, agent session environment",
    ),
    cloud_ide(
        "Daytona",
        Any(&[
            Set("DAYTONA_WS_ID"),
            Set("DAYTONA_WORKSPACE_ID"),
            Set("DAYTONA_SANDBOX_ID"),
        ]),
        "daytonaio/daytona, workspace environment",
    ),
    cloud_ide("DevPod", Set("DEVPOD_WORKSPACE_UID"), "devpod.sh docs, workspace environment"),
    cloud_ide(
        "Eclipse Che and OpenShift Dev Spaces",
        Any(&[Set("DEVWORKSPACE_ID"), Set("CHE_WORKSPACE_ID")]),
        "eclipse.dev/che docs, DevWorkspace environment",
    ),
    cloud_ide(
        "Google Colab",
        Any(&[Set("COLAB_RELEASE_TAG"), Set("COLAB_BACKEND_VERSION")]),
        "googlecolab/backend-info, environment",
    ),
    cloud_ide("Kaggle notebook", Is("KAGGLE_KERNEL_RUN_TYPE", "Interactive"), "kaggle.com docs, notebook environment"),
    cloud_ide("GitLab workspace", Set("GL_WORKSPACE_DOMAIN_TEMPLATE"), "docs.gitlab.com, workspaces"),
    cloud_ide("Glitch", Set("PROJECT_REMIX_CHAIN"), "help.glitch.com, environment variables"),
    // CI services, each by its own variable
    ci(
        "GitHub Actions",
        Any(&[On("GITHUB_ACTIONS"), Set("GITHUB_ACTION")]),
        "npm ci-info 4.5.0; crate is_ci; docs.github.com, default variables",
    ),
    ci(
        "GitLab CI",
        Any(&[On("GITLAB_CI"), Set("CI_MERGE_REQUEST_ID"), Set("GITLAB_DEPLOYMENT")]),
        "npm ci-info 4.5.0; npm std-env; crate is_ci",
    ),
    ci("Gitea Actions", On("GITEA_ACTIONS"), CI_INFO),
    ci("Forgejo Actions", On("FORGEJO_ACTIONS"), "forgejo.org docs, Actions variables"),
    ci(
        "Jenkins",
        Any(&[
            All(&[
                Set("JENKINS_URL"),
                Any(&[
                    Set("BUILD_ID"),
                    Set("BUILD_NUMBER"),
                    Set("BUILD_URL"),
                    Set("EXECUTOR_NUMBER"),
                    Set("JOB_NAME"),
                ]),
            ]),
            Starts("BUILD_TAG", "jenkins-"),
            All(&[Set("BUILD_ID"), Set("BUILD_URL")]),
        ]),
        "npm ci-info 4.5.0; dotnet/sdk; jenkins.io, environment variables",
    ),
    ci("Jenkins X", All(&[Set("JX_CHART_REPOSITORY"), Set("BUILD_ID")]), RUST_CI_INFO),
    ci("Hudson", Set("HUDSON_URL"), CI_INFO),
    ci("CircleCI", On("CIRCLECI"), CI_INFO),
    ci("Travis CI", On("TRAVIS"), CI_INFO),
    ci(
        "Azure Pipelines",
        Any(&[
            On("TF_BUILD"),
            Set("BUILD_BUILDURI"),
            Set("SYSTEM_TEAMFOUNDATIONCOLLECTIONURI"),
        ]),
        "npm ci-info 4.5.0; npm std-env; npm env-ci",
    ),
    ci("Azure Static Web Apps", Set("INPUT_AZURE_STATIC_WEB_APPS_API_TOKEN"), STD_ENV),
    ci("Buildkite", On("BUILDKITE"), CI_INFO),
    ci("TeamCity", Set("TEAMCITY_VERSION"), CI_INFO),
    ci("AppVeyor", On("APPVEYOR"), CI_INFO),
    ci(
        "Bitbucket Pipelines",
        Any(&[
            Set("BITBUCKET_COMMIT"),
            Set("BITBUCKET_BUILD_NUMBER"),
            Set("BITBUCKET_DEPLOYMENT"),
        ]),
        "npm ci-info 4.5.0; npm env-ci; crate is_ci",
    ),
    ci(
        "AWS CodeBuild",
        Any(&[
            Set("CODEBUILD_BUILD_ARN"),
            Set("CODEBUILD_BUILD_ID"),
            Set("CODEBUILD_INITIATOR"),
            Set("CODEBUILD_SRC_DIR"),
        ]),
        "npm ci-info 4.5.0; dotnet/sdk; crate is_ci; docs.aws.amazon.com, build environment",
    ),
    ci("AWS Amplify", Set("AWS_APP_ID"), STD_ENV),
    ci(
        "Google Cloud Build",
        Any(&[Set("BUILDER_OUTPUT"), All(&[Set("BUILD_ID"), Set("PROJECT_ID")])]),
        "npm ci-info 4.5.0; dotnet/sdk",
    ),
    ci(
        "Bamboo",
        Any(&[
            Set("bamboo_planKey"),
            Set("bamboo_buildKey"),
            Set("bamboo_buildNumber"),
            Set("bamboo_agentId"),
            Set("bamboo.buildKey"),
        ]),
        "npm ci-info 4.5.0; npm env-ci; crate is_ci",
    ),
    ci("Drone", Any(&[On("DRONE"), Set("DRONE_BUILD_EVENT")]), "npm ci-info 4.5.0; npm std-env"),
    ci("Woodpecker", Is("CI", "woodpecker"), CI_INFO),
    ci("Semaphore", On("SEMAPHORE"), CI_INFO),
    ci("Bitrise", On("BITRISE_IO"), CI_INFO),
    ci("Buddy", Set("BUDDY_WORKSPACE_ID"), CI_INFO),
    ci("Cirrus CI", On("CIRRUS_CI"), CI_INFO),
    ci("Codefresh", Set("CF_BUILD_ID"), CI_INFO),
    ci(
        "Codemagic",
        Any(&[Set("CM_BUILD_ID"), Set("FCI_BUILD_ID")]),
        "npm ci-info 4.5.0; docs.codemagic.io, built-in variables",
    ),
    ci("Codeship", Is("CI_NAME", "codeship"), CI_INFO),
    ci(
        "SourceHut",
        Any(&[Is("CI_NAME", "sourcehut"), Has("JOB_URL", "builds.sr.ht")]),
        "npm ci-info 4.5.0; crate ci_info 0.14",
    ),
    ci("GoCD", Any(&[Set("GO_PIPELINE_LABEL"), Set("GO_PIPELINE_NAME")]), "npm ci-info 4.5.0; crate is_ci"),
    ci("TaskCluster", All(&[Set("TASK_ID"), Set("RUN_ID")]), CI_INFO),
    ci(
        "JetBrains Space Automation",
        Any(&[Set("JB_SPACE_EXECUTION_NUMBER"), Set("JB_SPACE_API_URL")]),
        "npm env-ci; dotnet/sdk",
    ),
    ci("Harness", Set("HARNESS_BUILD_ID"), CI_INFO),
    ci("Prow", Set("PROW_JOB_ID"), CI_INFO),
    ci("Screwdriver", On("SCREWDRIVER"), CI_INFO),
    ci("Vela", Any(&[On("VELA"), Set("VELA_BUILD_NUMBER")]), "npm ci-info 4.5.0; crate ci_info 0.14"),
    ci("Xcode Cloud", Any(&[Set("CI_XCODE_PROJECT"), On("CI_XCODE_CLOUD")]), "npm ci-info 4.5.0; npm env-ci"),
    ci("Xcode Server", On("XCS"), CI_INFO),
    ci("Visual Studio App Center", Set("APPCENTER_BUILD_ID"), CI_INFO),
    ci("Expo Application Services", On("EAS_BUILD"), CI_INFO),
    ci("Appcircle", On("AC_APPCIRCLE"), CI_INFO),
    ci("Agola", Any(&[Set("AGOLA_GIT_REF"), Set("AGOLA_REPOSITORY_URL")]), "npm ci-info 4.5.0; crate ci_info 0.14"),
    ci("Capawesome Cloud", On("CAPAWESOME_CLOUD"), CI_INFO),
    ci("Cloudflare Pages", On("CF_PAGES"), CI_INFO),
    ci("Cloudflare Workers", On("WORKERS_CI"), CI_INFO),
    ci("dsari", On("DSARI"), CI_INFO),
    ci("Earthly", On("EARTHLY_CI"), CI_INFO),
    ci("Gerrit", Set("GERRIT_PROJECT"), CI_INFO),
    ci("Heroku CI", Set("HEROKU_TEST_RUN_ID"), "devcenter.heroku.com, Heroku CI"),
    ci("LayerCI", On("LAYERCI"), CI_INFO),
    ci("Magnum CI", On("MAGNUM"), CI_INFO),
    // `netlify dev` on a desktop sets NETLIFY_LOCAL as well as NETLIFY.
    ci(
        "Netlify CI",
        Any(&[
            Unless(&On("NETLIFY"), &Any(&[On("NETLIFY_LOCAL"), On("NETLIFY_DEV")])),
            Set("NETLIFY_BUILD_BASE"),
        ]),
        "npm ci-info 4.5.0; npm std-env",
    ),
    ci("Nevercode", On("NEVERCODE"), CI_INFO),
    ci("ReleaseHub", Set("RELEASE_BUILD_ID"), CI_INFO),
    ci("RWX", On("RWX"), CI_INFO),
    ci("Sail CI", Any(&[On("SAILCI"), On("SAIL_CI")]), "npm ci-info 4.5.0; crate is_ci"),
    ci("Strider CD", On("STRIDER"), CI_INFO),
    ci("Vercel build", Any(&[Set("NOW_BUILDER"), Set("NOW_GITHUB_DEPLOYMENT")]), "npm ci-info 4.5.0; crate is_ci"),
    ci("Shippable", On("SHIPPABLE"), IS_CI),
    ci("Solano CI", On("TDDIUM"), IS_CI),
    ci(
        "Wercker",
        Any(&[
            On("WERCKER"),
            Set("WERCKER_MAIN_PIPELINE_STARTED"),
            Set("WERCKER_GIT_COMMIT"),
        ]),
        "crate is_ci; npm env-ci",
    ),
    ci("Scrutinizer", On("SCRUTINIZER"), ENV_CI),
    ci("Puppet pipelines", Set("DISTELLI_APPNAME"), ENV_CI),
    ci("flow.ci", Set("FLOWCI_JOB_BUILD_NUM"), RUST_CI_INFO),
    ci("Stormkit", On("STORMKIT"), STD_ENV),
    ci("Cleavr", On("CLEAVR"), STD_ENV),
    ci("Codesphere", Set("CODESPHERE_APP_ID"), STD_ENV),
    ci("Firebase App Hosting", On("FIREBASE_APP_HOSTING"), STD_ENV),
    ci("EdgeOne Pages", On("EO_PAGES_CI"), STD_ENV),
    ci("Buildbot", Set("BUILDBOT_BUILDERNAME"), "docs.buildbot.net; chromium infra"),
    ci("LUCI Swarming", Set("SWARMING_TASK_ID"), "chromium infra, Swarming bot environment"),
    ci(
        "Kokoro",
        Any(&[Set("KOKORO_BUILD_ID"), Set("KOKORO_JOB_NAME")]),
        "Kokoro build environment, google open-source build scripts",
    ),
    ci("Spacelift", Set("TF_VAR_spacelift_run_id"), "docs.spacelift.io, environment; pulumi ciutil"),
    ci("HCP Terraform", Set("TFC_RUN_ID"), "developer.hashicorp.com, run environment"),
    ci("Zuul", Set("ZUUL_CHANGE"), "zuul-ci.org docs"),
    ci("OpenShift build", Set("OPENSHIFT_BUILD_NAME"), "docs.openshift.com, builds"),
    // Platforms that build and serve: they also set the variable at run time.
    hosting("Render", On("RENDER"), CI_INFO),
    hosting("Vercel", Any(&[On("VERCEL"), Set("VERCEL_ENV")]), CI_INFO),
    hosting("Heroku", Any(&[Has("NODE", "/app/.heroku/node/bin/node"), Set("DYNO")]), CI_INFO),
    hosting("Alpic", Set("ALPIC_HOST"), CI_INFO),
    hosting("Google Cloud Run", Any(&[Set("K_SERVICE"), Set("CLOUD_RUN_JOB")]), STD_ENV),
    hosting("Railway", Any(&[Set("RAILWAY_PROJECT_ID"), Set("RAILWAY_SERVICE_ID")]), STD_ENV),
    hosting("Zeabur", On("ZEABUR"), STD_ENV),
    hosting("Deno Deploy", Any(&[On("DENO_DEPLOY"), Set("DENO_DEPLOYMENT_ID")]), STD_ENV),
    // Variables that many services share
    generic("CI", On("CI"), "npm ci-info 4.5.0, generic; npm std-env; crate is_ci"),
    generic("CONTINUOUS_INTEGRATION", On("CONTINUOUS_INTEGRATION"), "npm ci-info 4.5.0, generic; npm is-in-ci"),
    generic("BUILD_NUMBER", Set("BUILD_NUMBER"), "npm ci-info 4.5.0, generic"),
    generic("BUILD_ID", Set("BUILD_ID"), "npm ci-info 4.5.0, generic"),
    generic("CI_APP_ID", Set("CI_APP_ID"), "npm ci-info 4.5.0, generic: Appflow"),
    generic("CI_BUILD_ID", Set("CI_BUILD_ID"), "npm ci-info 4.5.0, generic: Appflow"),
    generic("CI_BUILD_NUMBER", Set("CI_BUILD_NUMBER"), "npm ci-info 4.5.0, generic: Appflow"),
    generic("CI_NAME", Set("CI_NAME"), "npm ci-info 4.5.0, generic: Codeship and others"),
    generic("RUN_ID", Set("RUN_ID"), "npm ci-info 4.5.0, generic: TaskCluster, dsari"),
    // Users also export both for the services' command-line clients, so they prove nothing on a desktop.
    generic("JENKINS_URL", Set("JENKINS_URL"), "npm std-env; crate is_ci; npm env-ci"),
    generic("TASKCLUSTER_ROOT_URL", Set("TASKCLUSTER_ROOT_URL"), IS_CI),
];
