//! What is made, and how: one directory per upstream project with `recipe.toml` beside its sources.
//!
//! A recipe names the version once; `{version}`, `{architecture}`, `{triple}` and (in `published`) `{url}` are
//! filled in everywhere else. The digest of a project covers every file of its directory, the platform and
//! [`BUILDER`], so that whatever could change a result also changes its place in the cache.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::digest;
use super::platform::Platform;

/// Names this builder's way of working; raised when the same recipe gives other files.
const BUILDER: &str = "kubewright-lab components 1";

/// One project: its recipe, where its sources are, and the digest of both.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    pub(crate) name: String,
    pub(crate) directory: PathBuf,
    pub(crate) digest: String,
    pub(crate) recipe: Recipe,
}

/// The contents of `recipe.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    /// Upstream's version without a leading `v`.
    pub(crate) version: String,
    /// Whether Go may use the C compiler; without it everything is static anyway.
    #[serde(default)]
    pub(crate) cgo: bool,
    /// Go build tags.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// Linker flags beside `-s -w`.
    #[serde(default)]
    pub(crate) ldflags: Vec<String>,
    /// C libraries, by pkg-config name, that must be here with their static form.
    #[serde(default)]
    pub(crate) libraries: Vec<String>,
    #[serde(default, rename = "binary")]
    pub(crate) binaries: Vec<Binary>,
    #[serde(default, rename = "download")]
    pub(crate) downloads: Vec<Download>,
    pub(crate) image: Option<Image>,
}

/// One program of a project.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Binary {
    pub(crate) name: String,
    /// The Go package of its main function.
    pub(crate) package: Option<String>,
    /// Or its only C file.
    pub(crate) source: Option<String>,
    /// Arguments that make it print its version, checked against `version_text`.
    #[serde(default)]
    pub(crate) version_arguments: Vec<String>,
    /// Text its version must contain; without it nothing is run.
    pub(crate) version_text: Option<String>,
    /// Whether the directory carries it in the image only.
    #[serde(default)]
    pub(crate) only_for_image: bool,
}

/// A file of upstream's that has the same programs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Download {
    pub(crate) url: String,
    /// Known digest by architecture.
    #[serde(default)]
    pub(crate) sha256: BTreeMap<String, String>,
    /// Where upstream publishes the digest, asked when none is known.
    pub(crate) published: Option<String>,
    /// Program by path in the archive; the empty path is the file itself.
    pub(crate) files: BTreeMap<String, String>,
}

/// A container image made of the project's programs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Image {
    pub(crate) name: String,
    pub(crate) reference: String,
    pub(crate) entrypoint: Vec<String>,
    /// `uid:gid`
    pub(crate) user: String,
    /// Program of this project by path in the image.
    pub(crate) files: BTreeMap<String, String>,
    /// Programs of this computer, copied with the libraries they load.
    #[serde(default)]
    pub(crate) host_files: Vec<String>,
    /// Directories of this computer whose files are copied likewise.
    #[serde(default)]
    pub(crate) host_directories: Vec<String>,
    /// Symbolic link's target by path in the image.
    #[serde(default)]
    pub(crate) links: BTreeMap<String, String>,
}

/// Reads every project below a directory, in the order of their names.
pub(crate) fn load_all(directory: &Path, platform: Platform) -> Result<Vec<Project>> {
    let mut projects = Vec::new();
    for name in names_in(directory)? {
        let path = directory.join(&name);
        if path.join("recipe.toml").is_file() {
            projects.push(load(&name, &path, platform)?);
        }
    }
    ensure!(
        !projects.is_empty(),
        "no recipe of a component in {}",
        directory.display()
    );
    refuse_doubled_names(&projects)?;
    Ok(projects)
}

/// Returns the digest of all projects together: the name of the directory they fill.
pub(crate) fn digest_of_all(projects: &[Project]) -> String {
    let lines: Vec<_> = projects
        .iter()
        .map(|project| format!("{} {}\n", project.name, project.digest))
        .collect();
    digest::of_bytes(lines.concat().as_bytes())
}

fn load(name: &str, directory: &Path, platform: Platform) -> Result<Project> {
    let file = directory.join("recipe.toml");
    let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let recipe = parse(&text, platform).with_context(|| format!("recipe {}", file.display()))?;
    Ok(Project {
        name: name.to_owned(),
        directory: directory.to_owned(),
        digest: digest_of_directory(directory, platform)?,
        recipe,
    })
}

fn digest_of_directory(directory: &Path, platform: Platform) -> Result<String> {
    let mut lines = vec![format!("{BUILDER}\n{platform}\n")];
    add_files(directory, "", &mut lines)?;
    Ok(digest::of_bytes(lines.concat().as_bytes()))
}

fn add_files(directory: &Path, prefix: &str, lines: &mut Vec<String>) -> Result<()> {
    for name in names_in(directory)? {
        let path = directory.join(&name);
        if path.is_dir() {
            add_files(&path, &format!("{prefix}{name}/"), lines)?;
        } else {
            lines.push(format!("{prefix}{name} {}\n", digest::of_file(&path)?.0));
        }
    }
    Ok(())
}

/// Returns the sorted names in a directory without hidden files and editors' leftovers.
fn names_in(directory: &Path) -> Result<Vec<String>> {
    let reading = || format!("read directory {}", directory.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(reading)? {
        let name = entry.with_context(reading)?.file_name();
        let name = name
            .into_string()
            .map_err(|name| anyhow::anyhow!("file name {}", name.display()))
            .with_context(reading)?;
        if !name.starts_with('.') && !name.ends_with('~') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn parse(text: &str, platform: Platform) -> Result<Recipe> {
    let mut recipe: Recipe = toml::from_str(text)?;
    recipe.fill(platform);
    recipe.validate()?;
    Ok(recipe)
}

impl Recipe {
    fn fill(&mut self, platform: Platform) {
        let version = self.version.clone();
        let fill = |text: &mut String| {
            *text = text
                .replace("{version}", &version)
                .replace("{architecture}", platform.architecture)
                .replace("{triple}", platform.triple);
        };
        self.ldflags.iter_mut().for_each(fill);
        for binary in &mut self.binaries {
            binary.version_text.iter_mut().for_each(fill);
        }
        for download in &mut self.downloads {
            fill(&mut download.url);
            download.files.values_mut().for_each(fill);
            if let Some(published) = &mut download.published {
                fill(published);
                *published = published.replace("{url}", &download.url);
            }
        }
        if let Some(image) = &mut self.image {
            fill(&mut image.reference);
            image.host_files.iter_mut().for_each(fill);
            image.host_directories.iter_mut().for_each(fill);
        }
    }

    fn validate(&self) -> Result<()> {
        let has = |name: &String| self.binaries.iter().any(|binary| binary.name == *name);
        for binary in &self.binaries {
            if binary.package.is_some() == binary.source.is_some() {
                bail!("binary {} needs either package or source", binary.name);
            }
        }
        for download in &self.downloads {
            if download.sha256.is_empty() && download.published.is_none() {
                bail!("download {} needs sha256 or published", download.url);
            }
            if let Some(name) = download.files.keys().find(|name| !has(name)) {
                bail!("download {} has no binary {name}", download.url);
            }
        }
        if !self.downloads.is_empty() {
            for binary in &self.binaries {
                if !self
                    .downloads
                    .iter()
                    .any(|file| file.files.contains_key(&binary.name))
                {
                    bail!("binary {} is in no download", binary.name);
                }
            }
        }
        if let Some(image) = &self.image
            && let Some(name) = image.files.values().find(|name| !has(name))
        {
            bail!("image {} has no binary {name}", image.name);
        }
        Ok(())
    }
}

fn refuse_doubled_names(projects: &[Project]) -> Result<()> {
    let mut seen = BTreeMap::new();
    for project in projects {
        let binaries = project
            .recipe
            .binaries
            .iter()
            .map(|binary| ("binary", &binary.name));
        let images = project.recipe.image.iter().map(|image| ("image", &image.name));
        for made in binaries.chain(images) {
            if let Some(other) = seen.insert(made, &project.name) {
                bail!(
                    "{} {} is made by both {other} and {}",
                    made.0,
                    made.1,
                    project.name
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "recipe_tests.rs"]
pub(crate) mod tests;
