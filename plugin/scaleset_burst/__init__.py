"""A plugin that brings up hundreds of GitHub Actions runners in the time it takes to bring up one."""
